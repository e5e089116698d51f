//! Maps a changed object to the hubs that it concerns. No I/O.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};

use super::GuardedHub;
use crate::cluster::Kind;
use crate::context::Context;
use crate::model::names::CHILD_NAME_SUFFIXES;

/// Returns a mapper from an object with the name of a child to its hubs. It maps by name and not by owner, so that the
/// deletion of a conflicting object triggers a reconcile, too.
pub(super) fn hubs_of_child<K: Kind>(
    store: Store<GuardedHub>,
) -> impl Fn(PartialObjectMeta<K>) -> Vec<ObjectRef<GuardedHub>> {
    move |object| {
        let namespace = object.namespace().unwrap_or_default();
        let known = |hub: &ObjectRef<GuardedHub>| store.get(hub).is_some();
        candidate_hub_names(&object.name_any())
            .map(|name| ObjectRef::new(name).within(&namespace))
            .filter(known)
            .collect()
    }
}

/// Returns a mapper from a Secret to the hubs that have a child of its name, or whose spec refers to it.
pub(super) fn hubs_of_secret(
    store: Store<GuardedHub>,
    context: Arc<Context>,
) -> impl Fn(PartialObjectMeta<Secret>) -> Vec<ObjectRef<GuardedHub>> {
    let as_child = hubs_of_child(store);
    move |secret| {
        let (name, namespace) = (secret.name_any(), secret.namespace().unwrap_or_default());
        let referring = context.secret_index.hubs(&namespace, &name);
        let referring = referring.into_iter().map(|hub| ObjectRef::new(&hub).within(&namespace));
        as_child(secret).into_iter().chain(referring).collect()
    }
}

/// Returns the names of the hubs that have a child of this name.
fn candidate_hub_names(child: &str) -> impl Iterator<Item = &str> {
    CHILD_NAME_SUFFIXES.iter().filter_map(move |suffix| child.strip_suffix(suffix)).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DeserializeGuard;
    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    fn hub(name: &str, namespace: &str) -> GuardedHub {
        let hub = json!({
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"source": {"direct": {}}, "auth": {"generate": {}}},
        });
        DeserializeGuard(Ok(serde_json::from_value(hub).expect("a hub")))
    }

    fn store(hubs: Vec<GuardedHub>) -> Store<GuardedHub> {
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&watcher::Event::Init);
        hubs.into_iter().for_each(|hub| writer.apply_watcher_event(&watcher::Event::InitApply(hub)));
        writer.apply_watcher_event(&watcher::Event::InitDone);
        store
    }

    fn object<K: Kind>(name: &str, namespace: &str) -> PartialObjectMeta<K> {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": namespace}})).expect("metadata")
    }

    fn names(hubs: Vec<ObjectRef<GuardedHub>>) -> Vec<String> {
        let mut names: Vec<_> =
            hubs.into_iter().map(|hub| format!("{}/{}", hub.namespace.unwrap_or_default(), hub.name)).collect();
        names.sort();
        names
    }

    #[test]
    fn child_event_maps_to_hubs_by_name_suffix() {
        let map = hubs_of_child(store(vec![hub("a", "x"), hub("a-internal", "x"), hub("a", "y")]));
        let hubs_of = |name| names(map(object::<Secret>(name, "x")));
        assert_eq!(hubs_of("a"), ["x/a"]);
        assert_eq!(hubs_of("a-internal"), ["x/a", "x/a-internal"]);
        assert_eq!(hubs_of("a-jwt"), ["x/a"]);
        assert!(hubs_of("b").is_empty());
        assert!(hubs_of("-internal").is_empty());
    }
}
