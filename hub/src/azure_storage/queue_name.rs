//! The name of a queue.

use std::fmt;

/// A queue's name by Azure's rule: 3 to 63 lower-case letters, digits and single hyphens, no hyphen at an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueName(String);

impl QueueName {
    /// The name, if it is one.
    pub fn new(name: &str) -> Option<QueueName> {
        let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let hyphens = name.starts_with('-') || name.ends_with('-') || name.contains("--");
        ((3..=63).contains(&name.len()) && letters && !hyphens).then(|| QueueName(name.to_owned()))
    }

    /// The queue for what can't be understood: `<name>-poison`, of a long name as much as fits.
    pub fn poison(&self) -> QueueName {
        self.with("-poison")
    }

    /// The queue of the turns that hubs take: `<name>-turns`, of a long name as much as fits.
    pub fn turns(&self) -> QueueName {
        self.with("-turns")
    }

    fn with(&self, suffix: &str) -> QueueName {
        let kept = self.0.len().min(63 - suffix.len());
        QueueName(format!("{}{suffix}", self.0[..kept].trim_end_matches('-')))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The queue of Bitwarden's senders.
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
    fn poison_queue_name_of_any_queue_is_valid() {
        assert_eq!(QueueName::default().poison().as_str(), "notifications-poison");
        for length in 3..=63 {
            let name = QueueName::new(&format!("{}a", "a-".repeat(31))[63 - length..]);
            let poison = name.unwrap_or_default().poison();
            assert!(QueueName::new(poison.as_str()).is_some(), "{poison}");
        }
    }
}
