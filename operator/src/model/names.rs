//! Names of a hub and of its children. No I/O.

use std::fmt;

use super::ports;

/// Maximum length of the name of a hub, in characters. The names of children must fit into DNS labels.
pub const MAX_HUB_NAME_CHARS: usize = 40;

const INTERNAL_SUFFIX: &str = "-internal";
const METRICS_SUFFIX: &str = "-metrics";
const JWT_SUFFIX: &str = "-jwt";
const TOKENS_SUFFIX: &str = "-tokens";

/// Suffixes of the names of children, after the name of the hub.
pub const CHILD_NAME_SUFFIXES: [&str; 5] = ["", INTERNAL_SUFFIX, METRICS_SUFFIX, JWT_SUFFIX, TOKENS_SUFFIX];

/// A name that is valid for a Service and leaves room for the suffixes of children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName(String);

impl HubName {
    /// Parses a DNS-1035 label of up to [`MAX_HUB_NAME_CHARS`] characters. Returns `None` for any other text.
    pub fn parse(name: &str) -> Option<HubName> {
        let is_label_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_valid = name.len() <= MAX_HUB_NAME_CHARS
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(is_label_char)
            && !name.ends_with('-');
        is_valid.then(|| HubName(name.to_owned()))
    }

    /// Returns the name of the hub, and of all children whose names have no suffix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the Service for senders.
    pub fn internal_service(&self) -> String {
        format!("{}{INTERNAL_SUFFIX}", self.0)
    }

    /// Returns the name of the headless Service for metrics.
    pub fn metrics_service(&self) -> String {
        format!("{}{METRICS_SUFFIX}", self.0)
    }

    /// Returns the name of the Secret of the generated keys.
    pub fn jwt_secret(&self) -> String {
        jwt_secret(&self.0)
    }

    /// Returns the name of the Secret of the connection token key.
    pub fn tokens_secret(&self) -> String {
        tokens_secret(&self.0)
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the name of the Secret of the generated keys, for a hub whose name is not validated yet.
pub fn jwt_secret(hub: &str) -> String {
    format!("{hub}{JWT_SUFFIX}")
}

/// Returns the name of the Secret of the connection token key, for a hub whose name is not validated yet.
pub fn tokens_secret(hub: &str) -> String {
    format!("{hub}{TOKENS_SUFFIX}")
}

/// Returns the URL for clients inside the cluster.
pub fn url(hub: &str, namespace: &str) -> String {
    format!("http://{hub}.{namespace}.svc:{}", ports::PUBLIC)
}

/// Returns the base URL for senders.
pub fn send_url(hub: &str, namespace: &str) -> String {
    format!("http://{hub}{INTERNAL_SUFFIX}.{namespace}.svc:{}", ports::INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_name_other_than_short_dns_label_is_rejected() {
        for valid in ["a", "vault", "v-1", &"v".repeat(40)] {
            assert!(HubName::parse(valid).is_some(), "{valid}");
        }
        for invalid in ["", "1a", "-a", "a-", "A", "a.b", "a_b", "ä", &"v".repeat(41)] {
            assert!(HubName::parse(invalid).is_none(), "{invalid}");
        }
    }

    #[test]
    fn child_names_of_longest_hub_name_fit_dns_labels() {
        let name = HubName::parse(&"v".repeat(MAX_HUB_NAME_CHARS)).expect("the longest name");
        for child in [name.internal_service(), name.metrics_service(), name.jwt_secret(), name.tokens_secret()] {
            assert!(child.len() <= 63, "{child}");
        }
    }
}
