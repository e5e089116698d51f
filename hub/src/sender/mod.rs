//! Composes pushes and sends them to a hub or a queue, as Bitwarden's push service does. The subcommand `push`, tests and other
//! Rust programs use it.

mod direct;
mod push;
mod queue;
mod token_client;

pub use direct::{HttpSender, InternalToken, SendError};
pub use push::{PushError, PushFormat, PushSpec};
pub use queue::QueueSender;
pub use token_client::{TokenClient, TokenError};

use crate::azure_storage::QueueError;

/// A sender of pushes.
pub enum Sender {
    /// Sends to the internal port of a hub.
    Direct(HttpSender),
    /// Sends to a queue from which hubs receive.
    Queue(QueueSender),
}

/// The reason why a push was not sent. Its texts contain no secret.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The push is invalid.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The hub did not accept the push.
    #[error(transparent)]
    Direct(#[from] SendError),
    /// The queue did not accept the push.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Sender {
    /// Composes and sends a push.
    ///
    /// # Errors
    /// If the push is invalid, or the hub or the queue does not accept it.
    pub async fn push(&self, push: &PushSpec) -> Result<(), SenderError> {
        self.send(push.to_json(self.format())?).await
    }

    /// Sends the JSON of a push unchanged.
    ///
    /// # Errors
    /// If the hub or the queue does not accept it.
    pub async fn send(&self, text: String) -> Result<(), SenderError> {
        match self {
            Sender::Direct(hub) => Ok(hub.send(text).await?),
            Sender::Queue(queue) => Ok(queue.send(text).await?),
        }
    }

    fn format(&self) -> PushFormat {
        match self {
            Sender::Direct(_) => PushFormat::Send,
            Sender::Queue(_) => PushFormat::Queue,
        }
    }
}
