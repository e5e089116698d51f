//! Sends pushes to an Azure Storage queue, as Bitwarden's cloud does: as plain text, without Base64.

use crate::azure_storage::{Account, Queue, QueueError, QueueName, TimeToLive};

/// A sender to a queue from which hubs receive.
pub struct QueueSender(Queue);

impl QueueSender {
    /// Creates a sender to a queue of an account. Sends no request yet.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn new(account: &Account, name: &QueueName) -> Result<QueueSender, QueueError> {
        Queue::open(account, name).map(QueueSender)
    }

    /// Sends the JSON of a push to the queue, with the service's default time to live of seven days.
    ///
    /// # Errors
    /// If the text has more than 64 KiB, or the service does not accept it.
    pub async fn send(&self, text: String) -> Result<(), QueueError> {
        self.0.send(text, TimeToLive::Default).await
    }
}
