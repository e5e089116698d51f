//! Names of a hub and of its children. No I/O.

use std::fmt;

use super::ports;

/// Maximum length of a hub's name, in characters: every child's name must fit into a DNS label.
pub const MAX_HUB_NAME_CHARS: usize = 40;

const INTERNAL_SUFFIX: &str = "-internal";
const METRICS_SUFFIX: &str = "-metrics";
const JWT_SUFFIX: &str = "-jwt";
const TOKENS_SUFFIX: &str = "-tokens";

/// Suffixes that follow the hub's name in the names of its children.
pub const CHILD_NAME_SUFFIXES: [&str; 5] = ["", INTERNAL_SUFFIX, METRICS_SUFFIX, JWT_SUFFIX, TOKENS_SUFFIX];

/// A name that is valid for a Service and leaves room for the suffixes of children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubName(String);

impl HubName {
    /// Takes a DNS-1035 label of at most [`MAX_HUB_NAME_CHARS`] characters.
    pub fn parse(name: &str) -> Option<HubName> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = name.len() <= MAX_HUB_NAME_CHARS
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(inner)
            && !name.ends_with('-');
        fits.then(|| HubName(name.to_owned()))
    }

    /// The Deployment, its ServiceAccount, the ConfigMap and the public Service have the hub's own name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Service that senders post to.
    pub fn internal_service(&self) -> String {
        format!("{}{INTERNAL_SUFFIX}", self.0)
    }

    /// The headless Service that metrics are scraped through.
    pub fn metrics_service(&self) -> String {
        format!("{}{METRICS_SUFFIX}", self.0)
    }

    /// The Secret with the generated keys.
    pub fn jwt_secret(&self) -> String {
        jwt_secret(&self.0)
    }

    /// The Secret with the key that replicas share.
    pub fn tokens_secret(&self) -> String {
        tokens_secret(&self.0)
    }
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The Secret with the generated keys of a hub whose name has not been checked yet.
pub fn jwt_secret(hub: &str) -> String {
    format!("{hub}{JWT_SUFFIX}")
}

/// The Secret with the key that the replicas of a hub share whose name has not been checked yet.
pub fn tokens_secret(hub: &str) -> String {
    format!("{hub}{TOKENS_SUFFIX}")
}

/// Where clients inside the cluster connect.
pub fn url(hub: &str, namespace: &str) -> String {
    format!("http://{hub}.{namespace}.svc:{}", ports::PUBLIC)
}

/// Base of the address that senders post to.
pub fn send_url(hub: &str, namespace: &str) -> String {
    format!("http://{hub}{INTERNAL_SUFFIX}.{namespace}.svc:{}", ports::INTERNAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hub_name_other_than_short_dns_label_is_rejected() {
        for good in ["a", "vault", "v-1", &"v".repeat(40)] {
            assert!(HubName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "1a", "-a", "a-", "A", "a.b", "a_b", "ä", &"v".repeat(41)] {
            assert!(HubName::parse(bad).is_none(), "{bad}");
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
