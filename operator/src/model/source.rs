//! Source of a hub's notifications. No I/O.

use super::SecretEntry;

/// Source of notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Senders post to the hub.
    Direct,
    /// Senders put messages on an Azure Storage queue.
    AzureQueue(AzureQueue),
}

impl Source {
    /// Returns whether senders post to the hub.
    pub fn is_direct(&self) -> bool {
        matches!(self, Source::Direct)
    }

    /// Returns the credential of the queue, or `None` if senders post to the hub.
    pub fn credential(&self) -> Option<&Credential> {
        match self {
            Source::Direct => None,
            Source::AzureQueue(queue) => Some(&queue.credential),
        }
    }
}

/// Settings of an Azure Storage queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureQueue {
    /// Name of the queue.
    pub name: String,
    /// Name of the poison queue, or `None` for the hub's default.
    pub poison_name: Option<String>,
    /// Credential of the storage account.
    pub credential: Credential,
}

/// Credential of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Connection string in a Secret.
    ConnectionString(SecretEntry),
    /// Azure Workload Identity.
    WorkloadIdentity {
        /// Base URL of the queues of the storage account.
        account_url: String,
        /// Client ID of the identity.
        client_id: String,
    },
}
