//! Index of the hubs that refer to each Secret, so that an event of a Secret does not search every hub. No I/O.
//!
//! A reconcile updates the index before it reads the Secrets. A Secret that changes later finds the hub here. A Secret that
//! changed earlier is read in its new state.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use notification_hub_crds::NotificationHub;

use crate::model::references;

/// Namespace and name of an object.
type Key = (String, String);

#[derive(Default)]
struct Index {
    /// Names of the hubs that refer to a Secret.
    hubs: HashMap<Key, BTreeSet<String>>,
    /// Names of the Secrets that a hub refers to.
    secrets: HashMap<Key, BTreeSet<String>>,
}

/// Index of the hubs that refer to each Secret.
#[derive(Default)]
pub struct SecretIndex {
    index: Mutex<Index>,
}

impl SecretIndex {
    /// Replaces the Secrets that `hub` refers to.
    pub fn update(&self, hub: &NotificationHub) {
        let secrets = references::secrets(&hub.spec).into_iter().map(str::to_owned).collect();
        self.index().set(&hub.namespace().unwrap_or_default(), &hub.name_any(), secrets);
    }

    /// Removes a deleted hub.
    pub fn forget(&self, namespace: &str, hub: &str) {
        self.index().set(namespace, hub, BTreeSet::new());
    }

    /// Returns the hubs of a namespace that refer to this Secret.
    pub fn hubs(&self, namespace: &str, secret: &str) -> Vec<String> {
        let index = self.index();
        index.hubs.get(&key(namespace, secret)).into_iter().flatten().cloned().collect()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Replaces the Secrets that a hub refers to.
    fn set(&mut self, namespace: &str, hub: &str, secrets: BTreeSet<String>) {
        let before = self.secrets.remove(&key(namespace, hub)).unwrap_or_default();
        for removed in before.difference(&secrets) {
            let key = key(namespace, removed);
            if let Some(hubs) = self.hubs.get_mut(&key) {
                hubs.remove(hub);
                if hubs.is_empty() {
                    self.hubs.remove(&key);
                }
            }
        }
        for added in secrets.difference(&before) {
            self.hubs.entry(key(namespace, added)).or_default().insert(hub.to_owned());
        }
        if !secrets.is_empty() {
            self.secrets.insert(key(namespace, hub), secrets);
        }
    }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(secrets: &[&str]) -> BTreeSet<String> {
        secrets.iter().map(|secret| (*secret).to_owned()).collect()
    }

    #[test]
    fn secret_index_follows_references_and_forgets_deleted_hubs() {
        let index = SecretIndex::default();
        index.index().set("x", "a", secrets(&["keys", "redis"]));
        index.index().set("x", "b", secrets(&["redis"]));
        index.index().set("y", "c", secrets(&["redis"]));
        assert_eq!(index.hubs("x", "redis"), ["a", "b"]);
        assert_eq!(index.hubs("x", "keys"), ["a"]);
        assert_eq!(index.hubs("y", "redis"), ["c"]);
        index.index().set("x", "a", secrets(&["storage", "redis"]));
        assert_eq!((index.hubs("x", "keys").len(), index.hubs("x", "storage")), (0, vec!["a".to_owned()]));
        for (namespace, hub) in [("x", "a"), ("x", "b"), ("y", "c")] {
            index.forget(namespace, hub);
        }
        assert!(index.index().hubs.is_empty() && index.index().secrets.is_empty());
    }
}
