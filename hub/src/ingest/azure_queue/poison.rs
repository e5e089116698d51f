//! The poison queue: holds messages that are not pushes, until an administrator inspects and deletes them. The `consumer` decides
//! which those are.

use crate::azure_storage::{MAX_MESSAGE_BYTES, Queue, QueueError, TimeToLive};

/// Replaces the rest of a text that is too long.
const TRUNCATION_MARK: &str = "\n[shortened]";

/// The poison queue. The hub creates it when it first writes a message to it.
pub(super) struct PoisonQueue {
    queue: Queue,
}

impl PoisonQueue {
    /// Creates a poison queue that writes to `queue`.
    pub(super) fn new(queue: Queue) -> PoisonQueue {
        PoisonQueue { queue }
    }

    /// Writes a reason and the text of a message. They stay until an administrator deletes them.
    ///
    /// # Errors
    /// If the service does not accept the message.
    pub(super) async fn send(&self, reason: &str, text: &str) -> Result<(), QueueError> {
        match self.send_text(format_poison_message(reason, text, MAX_MESSAGE_BYTES)).await {
            // Other implementations may have a lower limit than Azure. A part of the text is better than none.
            Err(QueueError::TooLarge) => {
                self.send_text(format_poison_message(reason, text, MAX_MESSAGE_BYTES / 4)).await
            }
            other => other,
        }
    }

    async fn send_text(&self, text: String) -> Result<(), QueueError> {
        match self.queue.send(text.clone(), TimeToLive::Unlimited).await {
            Err(QueueError::Missing) => {
                self.queue.create().await?;
                tracing::info!(queue = self.queue.name().as_str(), "poison queue created");
                self.queue.send(text, TimeToLive::Unlimited).await
            }
            other => other,
        }
    }
}

/// Returns the reason as the first line, and as much of the text as fits into `max_bytes`.
fn format_poison_message(reason: &str, text: &str, max_bytes: usize) -> String {
    let mut message = format!("{}\n{text}", reason.replace('\n', " "));
    if message.len() > max_bytes {
        let max_bytes = max_bytes - TRUNCATION_MARK.len();
        let kept_bytes = (0..=max_bytes).rev().find(|length| message.is_char_boundary(*length));
        message.truncate(kept_bytes.unwrap_or(0));
        message.push_str(TRUNCATION_MARK);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_poison_message_reason_is_the_first_line() {
        assert_eq!(format_poison_message("push:\nno", "{\"a\":\n1}", MAX_MESSAGE_BYTES), "push: no\n{\"a\":\n1}");
    }

    #[test]
    fn format_poison_message_long_text_is_truncated_between_characters() {
        let whole = "x".repeat(MAX_MESSAGE_BYTES - 3);
        assert_eq!(format_poison_message("no", &whole, MAX_MESSAGE_BYTES).len(), MAX_MESSAGE_BYTES);
        assert!(!format_poison_message("no", &whole, MAX_MESSAGE_BYTES).ends_with(TRUNCATION_MARK));
        for letter in ["x", "\u{20ac}", "\u{1f511}"] {
            let text = format_poison_message("no", &letter.repeat(MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES);
            assert!(text.len() <= MAX_MESSAGE_BYTES && text.len() > MAX_MESSAGE_BYTES - 4, "{}", text.len());
            assert!(text.starts_with(&format!("no\n{letter}")) && text.ends_with(TRUNCATION_MARK));
        }
    }
}
