//! A storage account: where its queues are, and by what right they are used.

use azure_core::http::Url;
use uuid::Uuid;

use crate::secret::Secret;

/// A storage account.
#[derive(Debug, Clone)]
pub struct Account {
    /// The base of its queues' addresses.
    pub endpoint: Url,
    /// The right to use them.
    pub credential: Credential,
}

/// The right to use an account's queues.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The account's name and key.
    Key {
        /// The name.
        account: String,
        /// The key, in Base64.
        key: Secret,
    },
    /// A shared access signature: a query string.
    Signature(Secret),
    /// The identity of the workload, as Kubernetes projects it.
    Identity {
        /// The managed identity's client id; the environment's if none is given.
        client_id: Option<Uuid>,
    },
}

/// What is wrong with the address of an account.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("has to be an https URL without a query, such as https://ACCOUNT.queue.core.windows.net")]
pub struct AccountUrlError;

impl Account {
    /// An account that is used with the workload's identity.
    ///
    /// # Errors
    /// If the address is none that may be used so: a token must not travel in the clear.
    pub fn by_identity(url: &str, client_id: Option<Uuid>) -> Result<Account, AccountUrlError> {
        let endpoint = endpoint(url).filter(|url| url.scheme() == "https").ok_or(AccountUrlError)?;
        Ok(Account { endpoint, credential: Credential::Identity { client_id } })
    }
}

/// An address that can be the base of others.
pub(super) fn endpoint(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (matches!(url.scheme(), "http" | "https") && url.has_host() && plain).then_some(url)
}
