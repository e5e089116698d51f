//! Cache of what this process has applied: a child that has not changed since is not applied again.
//!
//! A change of a value that the operator has applied removes its field from the operator's entry in `managedFields`. If
//! that entry is as the last apply left it, and the desired child is the same, another apply would change nothing.
//! Fields that others add are in their own entries. The cache ends with the process, so that a new version of the
//! operator applies everything once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use notification_hub_crds::FIELD_MANAGER;
use serde::Serialize;

use super::child::display_name;
use crate::cluster::Kind;
use crate::model::Fingerprint;

/// Children by the namespace and name of their hub, and by their kind and name.
type CachedChildren = HashMap<(String, String), HashMap<String, CachedChild>>;

/// Fingerprints of a child as it was applied.
struct CachedChild {
    wanted: Fingerprint,
    owned: Fingerprint,
}

/// Children that this process has applied.
#[derive(Default)]
pub struct ApplyCache {
    entries: Mutex<CachedChildren>,
}

/// Namespace and name of the hub that owns the children.
pub(super) type HubKey = (String, String);

impl ApplyCache {
    /// Records that `wanted` was applied, and the metadata that resulted.
    pub(super) fn remember<K: Kind>(&self, hub: &HubKey, wanted: &K, written: &ObjectMeta) {
        let Some(owned) = owned(written) else { return };
        let (title, wanted) = (display_name_of(wanted), fingerprint_of(wanted));
        self.entries().entry(hub.clone()).or_default().insert(title, CachedChild { wanted, owned });
    }

    /// Returns whether applying `wanted` would not change the existing object.
    pub(super) fn is_unchanged<K: Kind>(&self, hub: &HubKey, wanted: &K, there: Option<&ObjectMeta>) -> bool {
        let Some(owned) = there.and_then(owned) else { return false };
        self.entry_matches(hub, wanted, |entry, wanted| entry.wanted == wanted && entry.owned == owned)
    }

    /// Returns whether the last apply was of the same child. If the live object differs, another client has changed it.
    pub(super) fn was_wanted<K: Kind>(&self, hub: &HubKey, wanted: &K) -> bool {
        self.entry_matches(hub, wanted, |entry, wanted| entry.wanted == wanted)
    }

    /// Removes the children of a deleted hub.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.entries().remove(&(namespace.to_owned(), name.to_owned()));
    }

    fn entry_matches<K: Kind>(
        &self,
        hub: &HubKey,
        wanted: &K,
        judge: impl FnOnce(&CachedChild, Fingerprint) -> bool,
    ) -> bool {
        let (title, wanted) = (display_name_of(wanted), fingerprint_of(wanted));
        self.entries().get(hub).and_then(|children| children.get(&title)).is_some_and(|entry| judge(entry, wanted))
    }

    fn entries(&self) -> MutexGuard<'_, CachedChildren> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn display_name_of<K: Kind>(object: &K) -> String {
    display_name::<K>(object.meta().name.as_deref().unwrap_or_default())
}

/// Returns the fingerprint of a desired object without its uid.
fn fingerprint_of<K: Kind>(wanted: &K) -> Fingerprint {
    let mut wanted = wanted.clone();
    wanted.meta_mut().uid = None;
    fingerprint(&wanted)
}

fn fingerprint(content: &impl Serialize) -> Fingerprint {
    // Of objects that are about to be written as JSON anyway.
    Fingerprint::from_content(&serde_json::to_vec(content).unwrap_or_default())
}

/// Returns the fingerprint of the object's uid and of the fields that the operator owns, or `None` if either is missing.
fn owned(metadata: &ObjectMeta) -> Option<Fingerprint> {
    let entry = metadata.managed_fields.iter().flatten().find(|entry| is_applied_by_operator(entry))?;
    Some(fingerprint(&(metadata.uid.as_ref()?, &entry.fields_v1)))
}

fn is_applied_by_operator(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(FIELD_MANAGER)
        && entry.operation.as_deref() == Some("Apply")
        && entry.subresource.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, from_value, json};

    fn metadata(uid: &str, manager: &str, fields: Value) -> ObjectMeta {
        let entry = json!({ "manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields });
        from_value(json!({ "uid": uid, "managedFields": [entry] })).expect("metadata")
    }

    fn config_map(level: &str) -> ConfigMap {
        from_value(json!({ "metadata": { "name": "vault" }, "data": { "log-level": level } })).expect("a ConfigMap")
    }

    #[test]
    fn apply_cache_same_object_and_owned_fields_is_unchanged() {
        let (cache, hub) = (ApplyCache::default(), ("ns".to_owned(), "vault".to_owned()));
        let (wanted, fields) = (config_map("info"), json!({ "f:data": { "f:log-level": {} } }));
        let written = metadata("1", FIELD_MANAGER, fields.clone());
        assert!(!cache.is_unchanged(&hub, &wanted, Some(&written)), "nothing was applied yet");
        cache.remember(&hub, &wanted, &written);
        assert!(cache.is_unchanged(&hub, &wanted, Some(&written)));
        for (what, there) in [
            ("it is gone", None),
            ("another object", Some(metadata("2", FIELD_MANAGER, fields.clone()))),
            ("a value was changed", Some(metadata("1", FIELD_MANAGER, json!({ "f:data": {} })))),
            ("all was taken over", Some(metadata("1", "kubectl", fields.clone()))),
        ] {
            assert!(!cache.is_unchanged(&hub, &wanted, there.as_ref()), "{what}");
        }
        assert!(!cache.is_unchanged(&hub, &config_map("debug"), Some(&written)), "something else is wanted");
        cache.forget("ns", "vault");
        assert!(!cache.is_unchanged(&hub, &wanted, Some(&written)), "the hub is gone");
    }
}
