//! A storage account: the endpoint of its queues and the credential for them. No I/O.

use azure_core::http::Url;
use uuid::Uuid;

use crate::secret::Secret;

/// A storage account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The base URL of its queues.
    pub endpoint: Url,
    /// The credential for them.
    pub credential: Credential,
}

/// A credential for the queues of an account.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An account key ("Shared Key").
    Key {
        /// The name of the account.
        account: String,
        /// The key, in Base64.
        key: Secret,
    },
    /// A shared access signature, as a query string without `?`.
    Signature(Secret),
    /// The workload identity, as Kubernetes projects it into the pod.
    Identity {
        /// The client id of the managed identity, or `None` for the id in the environment.
        client_id: Option<Uuid>,
    },
}

/// The error about the URL of an account that is used with the workload identity.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be an https URL without a query, such as https://ACCOUNT.queue.core.windows.net")]
pub struct AccountUrlError;

impl Account {
    /// Creates an account that is used with the workload identity.
    ///
    /// # Errors
    /// If `url` is not an https URL without a query. A token must not be sent unencrypted.
    pub fn with_workload_identity(url: &str, client_id: Option<Uuid>) -> Result<Account, AccountUrlError> {
        let endpoint = endpoint(url).filter(|url| url.scheme() == "https").ok_or(AccountUrlError)?;
        Ok(Account { endpoint, credential: Credential::Identity { client_id } })
    }
}

/// Parses an http or https URL without user name, query and fragment. Returns `None` for any other text.
pub(super) fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let is_base = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && is_base).then_some(url)
}
