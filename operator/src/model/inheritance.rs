//! Labels and annotations that children inherit from their hub's resource. No I/O.

use std::collections::BTreeMap;
use std::str::FromStr;

use kube::Resource;

use super::labels::Labels;

/// Prefixes of names that children never inherit. Names of kubectl are about the resource itself, and names of this
/// project are for the operator.
const NEVER_INHERITED_PREFIXES: [&str; 2] = ["kubectl.kubernetes.io/", "notificationhub.rs/"];

/// Names that children inherit, from the operator's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// Names of labels.
    pub labels: NamePatterns,
    /// Names of annotations.
    pub annotations: NamePatterns,
}

/// Names of labels or annotations, and prefixes that end with `*`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamePatterns(Vec<String>);

/// Error of a text that is not a name or prefix.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a name; give names, or prefixes with a trailing *, separated by commas")]
pub struct InvalidNamePattern(String);

/// Labels and annotations that a hub's children inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl FromStr for NamePatterns {
    type Err = InvalidNamePattern;

    fn from_str(text: &str) -> Result<Self, InvalidNamePattern> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let checked = names.map(|name| {
            // A bare `*` is invalid: it would match the labels by which other tools recognize their own objects.
            let prefix = name.strip_suffix('*').unwrap_or(name);
            let is_valid = prefix.starts_with(|c: char| c.is_ascii_alphanumeric())
                && prefix.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
            if is_valid { Ok(name.to_owned()) } else { Err(InvalidNamePattern(name.to_owned())) }
        });
        checked.collect::<Result<_, _>>().map(NamePatterns)
    }
}

impl NamePatterns {
    /// Returns whether a name matches.
    fn matches(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.strip_suffix('*').map_or(known == name, |prefix| name.starts_with(prefix)))
    }

    /// Returns the entries whose names match and can be inherited.
    fn select(&self, all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let is_inherited =
            |name: &str| self.matches(name) && !NEVER_INHERITED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        all.iter().filter(|(name, _)| is_inherited(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Inheritance {
    /// Returns the labels and annotations that the children of a resource inherit.
    pub fn inherited_by_children(&self, resource: &impl Resource) -> Inherited {
        let metadata = resource.meta();
        Inherited {
            labels: metadata.labels.as_ref().map(|all| self.labels.select(all)).unwrap_or_default(),
            annotations: metadata.annotations.as_ref().map(|all| self.annotations.select(all)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notification_hub_crds::NotificationHub;
    use serde_json::{from_value, json};

    fn names(text: &str) -> NamePatterns {
        text.parse().expect("names")
    }

    #[test]
    fn inherited_names_match_exactly_or_by_prefix() {
        let hub: NotificationHub = from_value(json!({
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub",
            "metadata": {
                "name": "vault",
                "labels": { "team": "a", "teams": "b", "cost.example/center": "7", "cost.example": "8" },
                "annotations": {
                    "team": "a", "notificationhub.rs/paused": "true", "kubectl.kubernetes.io/restartedAt": "now",
                },
            },
            "spec": { "source": { "direct": {} }, "auth": { "generate": {} } },
        }))
        .expect("a hub");
        let inheritance = Inheritance {
            labels: names("team, cost.example/*"),
            annotations: names("no*,k*,notificationhub.rs/paused"),
        };
        let inherited = inheritance.inherited_by_children(&hub);
        let expected = [("cost.example/center", "7"), ("team", "a")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(inherited.labels, Labels::from(expected));
        assert_eq!(inherited.annotations, BTreeMap::new(), "names of kubectl and of the operator");
        assert_eq!(Inheritance::default().inherited_by_children(&hub), Inherited::default());
    }

    #[test]
    fn inherited_names_invalid_pattern_is_rejected() {
        assert_eq!(names(""), names(" ,"));
        for text in ["*", "a*b", "a b", "/a", "a,*", "-"] {
            assert!(text.parse::<NamePatterns>().is_err(), "{text}");
        }
    }
}
