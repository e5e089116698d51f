//! A queue of a storage account.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::HeaderName;
use azure_core::http::{ClientOptions, StatusCode, Url, UrlExt};
use azure_identity::{ClientAssertionCredentialOptions, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions};
use azure_storage_queue::models::{
    QueueClientGetPropertiesResultHeaders, QueueClientPeekMessagesOptions, QueueClientReceiveMessagesOptions,
    QueueClientSendMessageOptions, QueueMessage, ReceivedMessage,
};
use azure_storage_queue::{QueueClient, QueueClientOptions};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::signing::SharedKey;
use super::{Account, Credential, QueueError, QueueName, transport};

/// Maximum length of the text of a message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// Maximum number of messages of one receive request, a limit of the service.
const MAX_RECEIVE_BATCH: usize = 32;

/// A client of a queue.
pub struct Queue {
    client: QueueClient,
    name: QueueName,
}

/// A received message, hidden from other receivers until its visibility timeout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DequeuedMessage {
    /// The message id.
    pub id: String,
    /// The pop receipt, which is needed to delete the message or to extend its visibility timeout.
    pub receipt: String,
    /// How often the message was received, including this time.
    pub dequeue_count: i64,
    /// The text of the message.
    pub text: String,
}

/// How long a message stays in a queue unless it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeToLive {
    /// The service's default: seven days.
    Default,
    /// No limit.
    Unlimited,
}

impl Queue {
    /// Creates a client of a queue. Sends no request yet.
    ///
    /// # Errors
    /// If the workload has no identity, or the system has no trusted root certificates.
    pub fn open(account: &Account, name: &QueueName) -> Result<Queue, QueueError> {
        let mut url = account.endpoint.clone();
        url.append_path(name.as_str());
        let mut options = transport::options()?;
        let mut token: Option<Arc<dyn TokenCredential>> = None;
        match &account.credential {
            Credential::Key { account, key } => {
                let key = BASE64_STANDARD.decode(key.reveal());
                let key = key.map_err(|_| QueueError::InvalidResponse("the key is not Base64".to_owned()))?;
                options.per_try_policies.push(Arc::new(SharedKey::new(account, &key)));
            }
            Credential::Signature(query) => url.set_query(Some(query.reveal())),
            Credential::Identity { client_id } => {
                token = Some(workload_identity(client_id.map(|id| id.to_string()), &options)?)
            }
        }
        let options = QueueClientOptions { client_options: options, ..QueueClientOptions::default() };
        Ok(Queue { client: client(url, token, options)?, name: name.clone() })
    }

    /// Returns the name of the queue.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Receives up to `max_messages`, at most 32, and hides them for `hidden_for`, in whole seconds.
    ///
    /// # Errors
    /// If the request fails.
    pub async fn receive(&self, max_messages: usize, hidden_for: Duration) -> Result<Vec<DequeuedMessage>, QueueError> {
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(max_messages.clamp(1, MAX_RECEIVE_BATCH) as i32),
            visibility_timeout: Some(whole_seconds(hidden_for)),
            ..QueueClientReceiveMessagesOptions::default()
        };
        let messages = self.client.receive_messages(Some(options)).await?.into_model()?;
        messages.items.unwrap_or_default().into_iter().map(dequeued_message).collect()
    }

    /// Hides a received message for `hidden_for` from now, in whole seconds. Returns its new pop receipt.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if the pop receipt is no longer valid, or another error if the request fails.
    pub async fn extend_visibility(&self, id: &str, receipt: &str, hidden_for: Duration) -> Result<String, QueueError> {
        let response = self.client.update_message(id, receipt, whole_seconds(hidden_for), None).await?;
        let receipt = response.headers().get_optional_string(&HeaderName::from_static("x-ms-popreceipt"));
        receipt.ok_or_else(|| QueueError::InvalidResponse("no new pop receipt".to_owned()))
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if the message is gone or the pop receipt is no longer valid, or another error if the request
    /// fails.
    pub async fn delete(&self, id: &str, receipt: &str) -> Result<(), QueueError> {
        self.client.delete_message(id, receipt, None).await?;
        Ok(())
    }

    /// Sends a message to the queue.
    ///
    /// # Errors
    /// [`QueueError::TooLarge`] if the text is longer than [`MAX_MESSAGE_BYTES`], or another error if the request fails.
    pub async fn send(&self, text: String, time_to_live: TimeToLive) -> Result<(), QueueError> {
        if text.len() > MAX_MESSAGE_BYTES {
            return Err(QueueError::TooLarge);
        }
        let message_time_to_live = (time_to_live == TimeToLive::Unlimited).then_some(-1);
        let options =
            QueueClientSendMessageOptions { message_time_to_live, ..QueueClientSendMessageOptions::default() };
        let message = QueueMessage { message_text: Some(text) };
        self.client.send_message(message.try_into()?, Some(options)).await?;
        Ok(())
    }

    /// Creates the queue if it does not exist. Returns whether this call created it.
    ///
    /// # Errors
    /// If the request fails.
    pub async fn create(&self) -> Result<bool, QueueError> {
        Ok(self.client.create(None).await?.status() == StatusCode::Created)
    }

    /// Returns the approximate number of messages in the queue.
    ///
    /// # Errors
    /// If the request fails.
    pub async fn approximate_len(&self) -> Result<u64, QueueError> {
        let count = self.client.get_properties(None).await?.approximate_messages_count()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// Returns the header `Date` of a response of the service, or `None` if it has none.
    ///
    /// # Errors
    /// If the request fails.
    pub async fn service_date(&self) -> Result<Option<String>, QueueError> {
        let response = self.client.get_properties(None).await?;
        Ok(response.headers().get_optional_string(&HeaderName::from_static("date")))
    }

    /// Returns how long the next message has waited, or `None` if no message is visible.
    ///
    /// # Errors
    /// If the request fails.
    pub async fn oldest_age(&self) -> Result<Option<Duration>, QueueError> {
        let options =
            QueueClientPeekMessagesOptions { number_of_messages: Some(1), ..QueueClientPeekMessagesOptions::default() };
        let messages = self.client.peek_messages(Some(options)).await?.into_model()?;
        let first = messages.items.unwrap_or_default().into_iter().next();
        let inserted = first.and_then(|message| message.insertion_time).map(SystemTime::from);
        // The service's clock may be ahead of this machine's. Then the age is zero.
        Ok(inserted.map(|inserted| SystemTime::now().duration_since(inserted).unwrap_or_default()))
    }
}

fn client(
    url: Url,
    token: Option<Arc<dyn TokenCredential>>,
    options: QueueClientOptions,
) -> Result<QueueClient, QueueError> {
    // Errors of the constructor contain the URL, which may hold a signature.
    QueueClient::new(url, token, Some(options))
        .map_err(|_| QueueError::InvalidResponse("the URL of the queue is not an https URL".to_owned()))
}

fn workload_identity(
    client_id: Option<String>,
    options: &ClientOptions,
) -> Result<Arc<WorkloadIdentityCredential>, QueueError> {
    let credential_options = ClientAssertionCredentialOptions { client_options: options.clone() };
    let options = WorkloadIdentityCredentialOptions {
        credential_options,
        client_id,
        ..WorkloadIdentityCredentialOptions::default()
    };
    WorkloadIdentityCredential::new(Some(options)).map_err(|error| QueueError::Identity(error.to_string()))
}

fn dequeued_message(message: ReceivedMessage) -> Result<DequeuedMessage, QueueError> {
    let (Some(id), Some(receipt)) = (message.message_id, message.pop_receipt) else {
        return Err(QueueError::InvalidResponse("a message has no id or no pop receipt".to_owned()));
    };
    let text = message.message_text.unwrap_or_default();
    Ok(DequeuedMessage { id, receipt, dequeue_count: message.dequeue_count.unwrap_or(1), text })
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
