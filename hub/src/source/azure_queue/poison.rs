//! The poison queue: where messages go that can't be understood, for people to look at.

use crate::azure::{LARGEST_TEXT, Queue, QueueError, TimeToLive};

/// What stands where text was left out.
const SHORTENED: &str = "\n[shortened]";

/// The poison queue. Created when it is first needed.
pub(super) struct Poison {
    queue: Queue,
}

impl Poison {
    /// What goes into this queue.
    pub(super) fn new(queue: Queue) -> Poison {
        Poison { queue }
    }

    /// Puts a text there, its reason in front. It stays until somebody deletes it.
    ///
    /// # Errors
    /// What hinders the service.
    pub(super) async fn put(&self, reason: &str, text: &str) -> Result<(), QueueError> {
        match self.send(labelled(reason, text, LARGEST_TEXT)).await {
            // Some count otherwise than Azure: rather less of the text than nothing.
            Err(QueueError::TooLarge) => self.send(labelled(reason, text, LARGEST_TEXT / 4)).await,
            other => other,
        }
    }

    async fn send(&self, text: String) -> Result<(), QueueError> {
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

/// The reason, a line of its own, and as much of the text as fits into `most` bytes.
fn labelled(reason: &str, text: &str, most: usize) -> String {
    let mut labelled = format!("{}\n{text}", reason.replace('\n', " "));
    if labelled.len() > most {
        let most = most - SHORTENED.len();
        let kept = (0..=most).rev().find(|length| labelled.is_char_boundary(*length));
        labelled.truncate(kept.unwrap_or(0));
        labelled.push_str(SHORTENED);
    }
    labelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poison_text_is_prefixed_with_the_reason() {
        assert_eq!(labelled("push:\nno", "{\"a\":\n1}", LARGEST_TEXT), "push: no\n{\"a\":\n1}");
    }

    #[test]
    fn poison_text_too_long_is_truncated_between_characters() {
        let whole = "x".repeat(LARGEST_TEXT - 3);
        assert_eq!(labelled("no", &whole, LARGEST_TEXT).len(), LARGEST_TEXT);
        assert!(!labelled("no", &whole, LARGEST_TEXT).ends_with(SHORTENED));
        for letter in ["x", "\u{20ac}", "\u{1f511}"] {
            let text = labelled("no", &letter.repeat(LARGEST_TEXT), LARGEST_TEXT);
            assert!(text.len() <= LARGEST_TEXT && text.len() > LARGEST_TEXT - 4, "{}", text.len());
            assert!(text.starts_with(&format!("no\n{letter}")) && text.ends_with(SHORTENED));
        }
    }
}
