//! Cache of the children that this process has applied. A child that has not changed since is not applied again.
//!
//! If another client changes a value of the operator, its field leaves the operator's entry in `managedFields`. If that
//! entry is as the last apply left it, and the desired child is the same, another apply would change nothing. Fields that
//! other clients add are in their own entries. The cache is not stored, so a new version of the operator applies every
//! child once.

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

/// Fingerprints of an applied child: the desired object, and the fields that the operator owns.
struct CachedChild {
    desired: Fingerprint,
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
    /// Records that `desired` was applied, and the resulting metadata.
    pub(super) fn remember<K: Kind>(&self, hub: &HubKey, desired: &K, written: &ObjectMeta) {
        let Some(owned) = owned(written) else { return };
        let (name, desired) = (display_name_of(desired), fingerprint_of(desired));
        self.entries().entry(hub.clone()).or_default().insert(name, CachedChild { desired, owned });
    }

    /// Returns whether applying `desired` would not change the existing object.
    pub(super) fn is_unchanged<K: Kind>(&self, hub: &HubKey, desired: &K, existing: Option<&ObjectMeta>) -> bool {
        let Some(owned) = existing.and_then(owned) else { return false };
        self.entry_matches(hub, desired, |entry, desired| entry.desired == desired && entry.owned == owned)
    }

    /// Returns whether the last apply was of the same child. If the live object differs, another client has changed it.
    pub(super) fn was_applied<K: Kind>(&self, hub: &HubKey, desired: &K) -> bool {
        self.entry_matches(hub, desired, |entry, desired| entry.desired == desired)
    }

    /// Removes the children of a deleted hub.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.entries().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Returns whether the cache has the child, and its entry and the fingerprint of `desired` match.
    fn entry_matches<K: Kind>(
        &self,
        hub: &HubKey,
        desired: &K,
        matches: impl FnOnce(&CachedChild, Fingerprint) -> bool,
    ) -> bool {
        let (name, desired) = (display_name_of(desired), fingerprint_of(desired));
        self.entries().get(hub).and_then(|children| children.get(&name)).is_some_and(|entry| matches(entry, desired))
    }

    fn entries(&self) -> MutexGuard<'_, CachedChildren> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the kind and name of a child.
fn display_name_of<K: Kind>(object: &K) -> String {
    display_name::<K>(object.meta().name.as_deref().unwrap_or_default())
}

/// Returns the fingerprint of a desired object without its uid.
fn fingerprint_of<K: Kind>(desired: &K) -> Fingerprint {
    let mut desired = desired.clone();
    desired.meta_mut().uid = None;
    fingerprint(&desired)
}

/// Returns the fingerprint of a value as JSON.
fn fingerprint(content: &impl Serialize) -> Fingerprint {
    // The same objects are serialized for the API server, so serialization does not fail.
    Fingerprint::from_content(&serde_json::to_vec(content).unwrap_or_default())
}

/// Returns the fingerprint of the object's uid and of the fields that the operator owns, or `None` if either is missing.
fn owned(metadata: &ObjectMeta) -> Option<Fingerprint> {
    let entry = metadata.managed_fields.iter().flatten().find(|entry| is_applied_by_operator(entry))?;
    Some(fingerprint(&(metadata.uid.as_ref()?, &entry.fields_v1)))
}

/// Returns whether an entry of `managedFields` is of an apply by the operator.
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
        let (desired, fields) = (config_map("info"), json!({ "f:data": { "f:log-level": {} } }));
        let written = metadata("1", FIELD_MANAGER, fields.clone());
        assert!(!cache.is_unchanged(&hub, &desired, Some(&written)), "nothing is applied yet");
        cache.remember(&hub, &desired, &written);
        assert!(cache.is_unchanged(&hub, &desired, Some(&written)));
        for (case, existing) in [
            ("deleted", None),
            ("another object", Some(metadata("2", FIELD_MANAGER, fields.clone()))),
            ("changed value", Some(metadata("1", FIELD_MANAGER, json!({ "f:data": {} })))),
            ("applied by another field manager", Some(metadata("1", "kubectl", fields.clone()))),
        ] {
            assert!(!cache.is_unchanged(&hub, &desired, existing.as_ref()), "{case}");
        }
        assert!(!cache.is_unchanged(&hub, &config_map("debug"), Some(&written)), "the desired child has changed");
        cache.forget("ns", "vault");
        assert!(!cache.is_unchanged(&hub, &desired, Some(&written)), "the hub is deleted");
    }
}
