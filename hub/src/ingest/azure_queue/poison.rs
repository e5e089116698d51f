//! The poison queue: where messages go that can't be understood, for people to look at.

use crate::azure_storage::{MAX_MESSAGE_BYTES, Queue, QueueError, TimeToLive};

/// What stands where text was left out.
const TRUNCATION_MARK: &str = "\n[shortened]";

/// The poison queue. Created when it is first needed.
pub(super) struct DeadLetterQueue {
    queue: Queue,
}

impl DeadLetterQueue {
    /// What goes into this queue.
    pub(super) fn new(queue: Queue) -> DeadLetterQueue {
        DeadLetterQueue { queue }
    }

    /// Puts a text there, its reason in front. It stays until somebody deletes it.
    ///
    /// # Errors
    /// What hinders the service.
    pub(super) async fn send(&self, reason: &str, text: &str) -> Result<(), QueueError> {
        match self.send_text(format_dead_letter(reason, text, MAX_MESSAGE_BYTES)).await {
            // Some count otherwise than Azure: rather less of the text than nothing.
            Err(QueueError::TooLarge) => self.send_text(format_dead_letter(reason, text, MAX_MESSAGE_BYTES / 4)).await,
            other => other,
        }
    }

    async fn send_text(&self, text: String) -> Result<(), QueueError> {
        match self.queue.send(text.clone(), TimeToLive::Unlimited).await {
            Err(QueueError::Missing) => {
                self.queue.create().await?;
                tracing::info!(queue = self.queue.name().as_str(), "the poison queue was created");
                self.queue.send(text, TimeToLive::Unlimited).await
            }
            other => other,
        }
    }
}

/// The reason, a line of its own, and as much of the text as fits into `max_bytes` bytes.
fn format_dead_letter(reason: &str, text: &str, max_bytes: usize) -> String {
    let mut message = format!("{}\n{text}", reason.replace('\n', " "));
    if message.len() > max_bytes {
        let max_bytes = max_bytes - TRUNCATION_MARK.len();
        let kept = (0..=max_bytes).rev().find(|length| message.is_char_boundary(*length));
        message.truncate(kept.unwrap_or(0));
        message.push_str(TRUNCATION_MARK);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_text_is_prefixed_with_the_reason() {
        assert_eq!(format_dead_letter("push:\nno", "{\"a\":\n1}", MAX_MESSAGE_BYTES), "push: no\n{\"a\":\n1}");
    }

    #[test]
    fn poison_text_too_long_is_truncated_between_characters() {
        let whole = "x".repeat(MAX_MESSAGE_BYTES - 3);
        assert_eq!(format_dead_letter("no", &whole, MAX_MESSAGE_BYTES).len(), MAX_MESSAGE_BYTES);
        assert!(!format_dead_letter("no", &whole, MAX_MESSAGE_BYTES).ends_with(TRUNCATION_MARK));
        for letter in ["x", "\u{20ac}", "\u{1f511}"] {
            let text = format_dead_letter("no", &letter.repeat(MAX_MESSAGE_BYTES), MAX_MESSAGE_BYTES);
            assert!(text.len() <= MAX_MESSAGE_BYTES && text.len() > MAX_MESSAGE_BYTES - 4, "{}", text.len());
            assert!(text.starts_with(&format!("no\n{letter}")) && text.ends_with(TRUNCATION_MARK));
        }
    }
}
