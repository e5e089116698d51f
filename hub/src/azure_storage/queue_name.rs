//! The name of a queue. No I/O.

use std::fmt;

/// The name of a queue, valid by Azure's rule: 3 to 63 lower-case letters, digits and single hyphens, no hyphen at either end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

impl QueueName {
    /// Returns the name, or `None` if it is not valid.
    pub fn new(name: &str) -> Option<QueueName> {
        let has_valid_characters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let has_misplaced_hyphen = name.starts_with('-') || name.ends_with('-') || name.contains("--");
        ((3..=63).contains(&name.len()) && has_valid_characters && !has_misplaced_hyphen)
            .then(|| QueueName(name.to_owned()))
    }

    /// Returns the name of the poison queue: `<name>-poison`. A long name is shortened to fit.
    pub fn poison(&self) -> QueueName {
        self.with_suffix("-poison")
    }

    /// Returns the name of the queue that holds the turn lease: `<name>-turns`. A long name is shortened to fit.
    pub fn turns(&self) -> QueueName {
        self.with_suffix("-turns")
    }

    fn with_suffix(&self, suffix: &str) -> QueueName {
        let kept_bytes = self.0.len().min(63 - suffix.len());
        QueueName(format!("{}{suffix}", self.0[..kept_bytes].trim_end_matches('-')))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The queue that Bitwarden's senders use.
impl Default for QueueName {
    fn default() -> Self {
        QueueName("notifications".to_owned())
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_name_follows_azure_naming_rules() {
        for name in ["abc", "notifications", "a-1-b", &"a".repeat(63)] {
            assert!(QueueName::new(name).is_some(), "{name}");
        }
        for name in ["ab", "", "Abc", "a_b", "-ab", "ab-", "a--b", "a.b", "\u{e4}bc", &"a".repeat(64)] {
            assert!(QueueName::new(name).is_none(), "{name}");
        }
    }

    #[test]
    fn queue_name_of_poison_queue_is_always_valid() {
        assert_eq!(QueueName::default().poison().as_str(), "notifications-poison");
        for length in 3..=63 {
            let name = QueueName::new(&format!("{}a", "a-".repeat(31))[63 - length..]);
            let poison = name.unwrap_or_default().poison();
            assert!(QueueName::new(poison.as_str()).is_some(), "{poison}");
        }
    }
}
