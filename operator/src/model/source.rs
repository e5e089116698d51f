//! Source of a hub's notifications. No I/O.

use super::SecretEntry;

/// Where notifications come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are posted to the hub.
    Direct,
    /// They are put on an Azure Storage queue.
    AzureQueue(AzureQueue),
}

impl Source {
    /// Whether they are posted to the hub.
    pub fn is_direct(&self) -> bool {
        matches!(self, Source::Direct)
    }

    /// How the queue may be used, if there is one.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Source::Direct => None,
            Source::AzureQueue(queue) => Some(&queue.credential),
        }
    }
}

/// An Azure Storage queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureQueue {
    /// Its name.
    pub name: String,
    /// The name of the poison queue, if it is not made from the queue's.
    pub poison_name: Option<String>,
    /// How it may be used.
    pub credential: Credential,
}

/// How a queue may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A connection string in a Secret.
    ConnectionString(SecretEntry),
    /// A managed identity.
    WorkloadIdentity {
        /// Base of the queues' addresses.
        account_url: String,
        /// The identity.
        client_id: String,
    },
}
