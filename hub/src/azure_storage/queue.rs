//! One queue.

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

/// The longest text of a message, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The most messages that one request receives.
const MAX_RECEIVE_BATCH: usize = 32;

/// A queue of an account.
pub struct Queue {
    client: QueueClient,
    name: QueueName,
}

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// The right to delete it or to hide it for longer.
    pub receipt: String,
    /// How often it was received, this time included.
    pub times: i64,
    /// Its text.
    pub text: String,
}

/// How long a message stays in a queue if nobody deletes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeToLive {
    /// The service's default: seven days.
    Default,
    /// For ever.
    Unlimited,
}

impl Queue {
    /// A queue of an account. Nothing is asked of the service yet.
    ///
    /// # Errors
    /// If the workload has no identity, or the system no roots to trust.
    pub fn open(account: &Account, name: &QueueName) -> Result<Queue, QueueError> {
        let mut url = account.endpoint.clone();
        url.append_path(name.as_str());
        let mut options = transport::options()?;
        let mut token: Option<Arc<dyn TokenCredential>> = None;
        match &account.credential {
            Credential::Key { account, key } => {
                let key = BASE64_STANDARD.decode(key.reveal());
                let key = key.map_err(|_| QueueError::InvalidResponse("the key is no Base64".to_owned()))?;
                options.per_try_policies.push(Arc::new(SharedKey::new(account, &key)));
            }
            Credential::Signature(query) => url.set_query(Some(query.reveal())),
            Credential::Identity { client_id } => token = Some(identity(client_id.map(|id| id.to_string()), &options)?),
        }
        let options = QueueClientOptions { client_options: options, ..QueueClientOptions::default() };
        Ok(Queue { client: client(url, token, options)?, name: name.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// Receives up to `most` messages (the service's limit is 32) and hides them for a time, in whole seconds.
    ///
    /// # Errors
    /// If the service does not give them.
    pub async fn receive(&self, most: usize, hidden_for: Duration) -> Result<Vec<Received>, QueueError> {
        let options = QueueClientReceiveMessagesOptions {
            number_of_messages: Some(most.clamp(1, MAX_RECEIVE_BATCH) as i32),
            visibility_timeout: Some(seconds(hidden_for)),
            ..QueueClientReceiveMessagesOptions::default()
        };
        let messages = self.client.receive_messages(Some(options)).await?.into_model()?;
        messages.items.unwrap_or_default().into_iter().map(received).collect()
    }

    /// Hides a received message for that long from now on; its new receipt.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if the receipt is not good any more, or what hinders the service.
    pub async fn extend_visibility(&self, id: &str, receipt: &str, hidden_for: Duration) -> Result<String, QueueError> {
        let response = self.client.update_message(id, receipt, seconds(hidden_for), None).await?;
        let receipt = response.headers().get_optional_string(&HeaderName::from_static("x-ms-popreceipt"));
        receipt.ok_or_else(|| QueueError::InvalidResponse("no new receipt".to_owned()))
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// [`QueueError::LeaseLost`] if it is gone or the receipt not good any more, or what hinders the service.
    pub async fn delete(&self, id: &str, receipt: &str) -> Result<(), QueueError> {
        self.client.delete_message(id, receipt, None).await?;
        Ok(())
    }

    /// Puts a text into the queue.
    ///
    /// # Errors
    /// If the service does not take it.
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

    /// Creates the queue, unless it is there. Returns whether this call created it.
    ///
    /// # Errors
    /// If the service refuses.
    pub async fn create(&self) -> Result<bool, QueueError> {
        Ok(self.client.create(None).await?.status() == StatusCode::Created)
    }

    /// How many messages it holds, about.
    ///
    /// # Errors
    /// If the service does not tell.
    pub async fn approximate_len(&self) -> Result<u64, QueueError> {
        let count = self.client.get_properties(None).await?.approximate_messages_count()?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    /// For how long the message that is next has waited; nothing if there is none, or none that is visible.
    ///
    /// # Errors
    /// If the service does not tell.
    pub async fn oldest_age(&self) -> Result<Option<Duration>, QueueError> {
        let options =
            QueueClientPeekMessagesOptions { number_of_messages: Some(1), ..QueueClientPeekMessagesOptions::default() };
        let messages = self.client.peek_messages(Some(options)).await?.into_model()?;
        let first = messages.items.unwrap_or_default().into_iter().next();
        let inserted = first.and_then(|message| message.insertion_time).map(SystemTime::from);
        // Clocks differ: what seems to come from the future is new.
        Ok(inserted.map(|inserted| SystemTime::now().duration_since(inserted).unwrap_or_default()))
    }
}

fn client(
    url: Url,
    token: Option<Arc<dyn TokenCredential>>,
    options: QueueClientOptions,
) -> Result<QueueClient, QueueError> {
    // Its errors print the address, so they are not told.
    QueueClient::new(url, token, Some(options))
        .map_err(|_| QueueError::InvalidResponse("the queue's address is no https URL".to_owned()))
}

fn identity(client_id: Option<String>, options: &ClientOptions) -> Result<Arc<WorkloadIdentityCredential>, QueueError> {
    let credential_options = ClientAssertionCredentialOptions { client_options: options.clone() };
    let options = WorkloadIdentityCredentialOptions {
        credential_options,
        client_id,
        ..WorkloadIdentityCredentialOptions::default()
    };
    WorkloadIdentityCredential::new(Some(options)).map_err(|error| QueueError::Identity(error.to_string()))
}

fn received(message: ReceivedMessage) -> Result<Received, QueueError> {
    let (Some(id), Some(receipt)) = (message.message_id, message.pop_receipt) else {
        return Err(QueueError::InvalidResponse("a message without an id or a receipt".to_owned()));
    };
    let text = message.message_text.unwrap_or_default();
    Ok(Received { id, receipt, times: message.dequeue_count.unwrap_or(1), text })
}

fn seconds(time: Duration) -> i32 {
    i32::try_from(time.as_secs()).unwrap_or(i32::MAX)
}
