//! What server-side apply cannot take back: an entry of a list whose key was edited. Pure.
//!
//! The ports of Services and containers are merged by number. Who edits a number makes another entry of ours, with the
//! same name; ours is added to it, and the server refuses two of one name. So the list is replaced first. These lists
//! never change, so it does no harm that the field manager then owns them twice.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::cluster::Kind;
use crate::model::CONTAINER;

/// A strategic merge patch that replaces the lists of `object` by its own; none for kinds that have no such list.
pub(super) fn patch<K: Kind>(object: &K) -> Option<Value> {
    let whole = serde_json::to_value(object).ok()?;
    match K::kind(&()).as_ref() {
        kind if kind == kind_of::<Service>() => {
            Some(json!({ "spec": { "ports": replaced(whole.pointer("/spec/ports")?)? } }))
        }
        kind if kind == kind_of::<Deployment>() => {
            let containers = whole.pointer("/spec/template/spec/containers")?.as_array()?;
            let hub = containers.iter().find(|container| container["name"] == CONTAINER)?;
            let containers = json!([{ "name": CONTAINER, "ports": replaced(&hub["ports"])? }]);
            Some(json!({ "spec": { "template": { "spec": { "containers": containers } } } }))
        }
        _ => None,
    }
}

fn kind_of<K: Kind>() -> String {
    K::kind(&()).into_owned()
}

fn replaced(list: &Value) -> Option<Value> {
    let mut entries = vec![json!({ "$patch": "replace" })];
    entries.extend(list.as_array()?.iter().cloned());
    Some(Value::Array(entries))
}
