//! What server-side apply cannot take back: an entry of a list whose key was edited. Pure.
//!
//! The ports of Services and containers are merged by number. Who edits a number makes another entry of ours, with the
//! same name; ours is added to it, and the server refuses two of one name. It also refuses a variable with both a value
//! and a reference, which is what comes of one of ours that was given a value.
//!
//! So what is in the way goes first. The ports of a Service, which cannot be without, are replaced: they never change, so
//! it does no harm that the field manager then owns them twice. Those of a container do change with the source, and
//! nothing could take back what is owned twice: they and the variables are taken out, and come back with the next apply.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::cluster::{CallError, Kind};
use crate::model::CONTAINER;

/// A strategic merge patch after which `object` can be applied; none for kinds that have no such list.
pub(super) fn patch<K: Kind>(object: &K) -> Option<Value> {
    let whole = serde_json::to_value(object).ok()?;
    match K::kind(&()).as_ref() {
        kind if kind == kind_of::<Service>() => {
            let mut ports = vec![json!({ "$patch": "replace" })];
            ports.extend(whole.pointer("/spec/ports")?.as_array()?.iter().cloned());
            Some(json!({ "spec": { "ports": ports } }))
        }
        kind if kind == kind_of::<Deployment>() => {
            let containers = whole.pointer("/spec/template/spec/containers")?.as_array()?;
            let hub = containers.iter().find(|container| container["name"] == CONTAINER)?;
            let mut container = json!({ "name": CONTAINER, "ports": [{ "$patch": "replace" }] });
            if let Some(variables) = hub["env"].as_array() {
                let gone = variables.iter().map(|each| json!({ "$patch": "delete", "name": each["name"] }));
                container["env"] = gone.collect();
            }
            Some(json!({ "spec": { "template": { "spec": { "containers": [container] } } } }))
        }
        _ => None,
    }
}

/// Whether what the server minds is such an entry.
pub(super) fn may_help(refused: &CallError) -> bool {
    let details = refused.status().and_then(|status| status.details.as_ref());
    let causes = details.into_iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.field.contains("ports") || cause.field.contains("env"))
}

fn kind_of<K: Kind>() -> String {
    K::kind(&()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_container_is_set_that_the_next_apply_could_not_take_back() {
        let container = json!({
            "name": CONTAINER,
            "ports": [{ "containerPort": 5001, "name": "send" }],
            "env": [{ "name": "A", "value": "b" }],
        });
        let spec = json!({ "selector": {}, "template": { "spec": { "containers": [container] } } });
        let deployment: Deployment = serde_json::from_value(json!({ "spec": spec })).expect("a Deployment");
        let container = json!({
            "name": CONTAINER,
            "ports": [{ "$patch": "replace" }],
            "env": [{ "$patch": "delete", "name": "A" }],
        });
        let expected = json!({ "spec": { "template": { "spec": { "containers": [container] } } } });
        assert_eq!(patch(&deployment), Some(expected));
    }
}
