//! The other side of a source: composes pushes and sends them, as Bitwarden's push service does. For `push`, for tests,
//! for callers in Rust.

mod direct;
mod identity;
mod push;
mod queue;

pub use direct::{HttpSender, InternalToken, SendError};
pub use identity::{Identity, IdentityError};
pub use push::{Push, PushError, Style};
pub use queue::QueueSender;

use crate::azure_storage::QueueError;

/// Sends pushes, by one of the engines.
pub enum Sender {
    /// To a hub's internal port.
    Direct(HttpSender),
    /// Into a queue from which hubs receive.
    Queue(QueueSender),
}

/// Why a push was not sent. No text of it holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// It could not be composed.
    #[error(transparent)]
    Push(#[from] PushError),
    /// A hub did not take it.
    #[error(transparent)]
    Direct(#[from] SendError),
    /// A queue did not take it.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl Sender {
    /// Sends a push.
    ///
    /// # Errors
    /// If it makes no sense, or is not taken.
    pub async fn push(&self, push: &Push) -> Result<(), SenderError> {
        self.send(push.text(self.style())?).await
    }

    /// Sends a push's text as it is.
    ///
    /// # Errors
    /// If it is not taken.
    pub async fn send(&self, text: String) -> Result<(), SenderError> {
        match self {
            Sender::Direct(hub) => Ok(hub.send(text).await?),
            Sender::Queue(queue) => Ok(queue.send(text).await?),
        }
    }

    fn style(&self) -> Style {
        match self {
            Sender::Direct(_) => Style::Send,
            Sender::Queue(_) => Style::Queue,
        }
    }
}
