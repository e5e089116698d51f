//! Puts pushes into an Azure Storage queue, as Bitwarden does in its cloud: the text as it is, without Base64.

use crate::azure_storage::{Account, QueueError, QueueName, TimeToLive};

/// A queue from which hubs receive.
pub struct QueueSender(crate::azure_storage::Queue);

impl QueueSender {
    /// A sender into a queue of an account.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn new(account: &Account, name: &QueueName) -> Result<QueueSender, QueueError> {
        crate::azure_storage::Queue::open(account, name).map(QueueSender)
    }

    /// Puts a push's text into the queue, for the service's usual seven days.
    ///
    /// # Errors
    /// If the service does not take it, or it has more than 64 KiB.
    pub async fn send(&self, text: String) -> Result<(), QueueError> {
        self.0.send(text, TimeToLive::Default).await
    }
}
