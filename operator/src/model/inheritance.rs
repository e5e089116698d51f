//! Which labels and annotations of a hub's resource its children get. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use kube::Resource;

use super::labels::Labels;

/// What never passes on: kubectl's notes are about the resource itself, and ours are for the operator.
const KEPT_BACK: [&str; 2] = ["kubectl.kubernetes.io/", "notificationhub.rs/"];

/// What the operator's configuration lets pass on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// Of labels.
    pub labels: Names,
    /// Of annotations.
    pub annotations: Names,
}

/// Names of labels or annotations: whole ones, and beginnings with a `*` behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

/// No list of names.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no name; give names, or beginnings of names with a * behind, separated by commas")]
pub struct NoName(String);

/// What a hub's children get.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl FromStr for Names {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let checked = names.map(|name| {
            // All of them is no choice: among them are those by which tools know what is theirs.
            let start = name.strip_suffix('*').unwrap_or(name);
            let good = start.starts_with(|c: char| c.is_ascii_alphanumeric())
                && start.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
            if good { Ok(name.to_owned()) } else { Err(NoName(name.to_owned())) }
        });
        checked.collect::<Result<_, _>>().map(Names)
    }
}

impl Names {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known.strip_suffix('*').map_or(known == name, |start| name.starts_with(start)))
    }

    fn of(&self, all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let passes = |name: &str| self.has(name) && !KEPT_BACK.iter().any(|start| name.starts_with(start));
        all.iter().filter(|(name, _)| passes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl Inheritance {
    /// What the children of a resource get.
    pub fn of(&self, resource: &impl Resource) -> Inherited {
        let metadata = resource.meta();
        Inherited {
            labels: metadata.labels.as_ref().map(|all| self.labels.of(all)).unwrap_or_default(),
            annotations: metadata.annotations.as_ref().map(|all| self.annotations.of(all)).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notification_hub_crds::NotificationHub;
    use serde_json::{from_value, json};

    fn names(text: &str) -> Names {
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
        let inherited = inheritance.of(&hub);
        let expected = [("cost.example/center", "7"), ("team", "a")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(inherited.labels, Labels::from(expected));
        assert_eq!(inherited.annotations, BTreeMap::new(), "they are not for children");
        assert_eq!(Inheritance::default().of(&hub), Inherited::default());
    }

    #[test]
    fn inherited_names_invalid_pattern_is_rejected() {
        assert_eq!(names(""), names(" ,"));
        for text in ["*", "a*b", "a b", "/a", "a,*", "-"] {
            assert!(text.parse::<Names>().is_err(), "{text}");
        }
    }
}
