//! Builds a patch for edits that server-side apply cannot revert: list entries that conflict with those of the operator.
//! No I/O.
//!
//! The ports of Services and containers are merged by number. After an edit of a number, an apply would add an entry with
//! the same name, which the API server refuses. After an edit of the kind of content, an apply would give a variable a
//! value and a reference, or a volume two sources. The API server refuses these, too.
//!
//! There is a patch only if the live object has such an entry. It deletes these entries and sets the whole desired object
//! in one write, so a refusal leaves the live object as it was.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use crate::cluster::Kind;

/// Returns a strategic merge patch from `live` to `desired`, or `None` if no entry of `live` conflicts with the apply.
pub(super) fn patch<K: Kind>(desired: &K, live: &K) -> Option<Value> {
    let (mut desired, live) = (serde_json::to_value(desired).ok()?, serde_json::to_value(live).ok()?);
    let kind = K::kind(&());
    let found = if kind == kind_of::<Service>() {
        add_deletions(&mut desired["spec"], &live["spec"], "ports", "port", is_renumbered)
    } else if kind == kind_of::<Deployment>() {
        let pod = "/spec/template/spec";
        let (desired, live) = (desired.pointer_mut(pod)?, live.pointer(pod)?);
        let volumes = add_deletions(desired, live, "volumes", "name", has_other_content);
        ["containers", "initContainers"].into_iter().fold(volumes, |found, list| {
            let containers = desired.get_mut(list).and_then(Value::as_array_mut);
            containers.into_iter().flatten().fold(found, |found, container| {
                let same = live[list].as_array().into_iter().flatten().find(|it| it["name"] == container["name"]);
                let Some(same) = same else { return found };
                let ports = add_deletions(container, same, "ports", "containerPort", is_renumbered);
                let env = add_deletions(container, same, "env", "name", has_other_content);
                found || ports || env
            })
        })
    } else {
        false
    };
    found.then_some(desired)
}

/// Adds deletions of the conflicting entries of `live` to a list of `desired`. Returns whether there are any.
fn add_deletions(
    desired: &mut Value,
    live: &Value,
    list: &str,
    merge_key: &str,
    is_conflicting: fn(&Value, &Value) -> bool,
) -> bool {
    let Some(entries) = desired.get_mut(list).and_then(Value::as_array_mut) else { return false };
    let others = live[list].as_array().into_iter().flatten();
    let conflicting = others.filter(|other| entries.iter().any(|entry| is_conflicting(entry, other)));
    let deletions: Vec<_> =
        conflicting.map(|other| json!({ "$patch": "delete", merge_key: other[merge_key].clone() })).collect();
    let found = !deletions.is_empty();
    entries.splice(0..0, deletions);
    found
}

/// Returns whether a port has the name of another port, and another number or protocol.
fn is_renumbered(desired: &Value, other: &Value) -> bool {
    let number = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        (port["port"].clone(), port["containerPort"].clone(), protocol)
    };
    desired["name"] == other["name"] && number(desired) != number(other)
}

/// Returns whether a variable or volume has the name of another one, and another kind of content.
fn has_other_content(desired: &Value, other: &Value) -> bool {
    let content = |entry: &Value| {
        let fields = entry.as_object().into_iter().flatten();
        let fields = fields.filter(|(field, value)| *field != "name" && **value != "");
        let mut kinds: Vec<_> = fields.map(|(field, _)| field.clone()).collect();
        kinds.extend(entry["valueFrom"].as_object().into_iter().flatten().map(|(field, _)| field.clone()));
        kinds.sort_unstable();
        kinds
    };
    desired["name"] == other["name"] && content(desired) != content(other)
}

/// Returns the name of a kind.
fn kind_of<K: Kind>() -> String {
    K::kind(&()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::from_value;

    fn deployment(ports: Value, env: Value, volumes: Value) -> Deployment {
        let pod = json!({ "containers": [{ "name": "hub", "ports": ports, "env": env }], "volumes": volumes });
        from_value(json!({ "spec": { "selector": {}, "template": { "spec": pod } } })).expect("a Deployment")
    }

    fn desired() -> Deployment {
        let reference = json!({ "secretKeyRef": { "name": "storage", "key": "url" } });
        deployment(
            json!([{ "containerPort": 5000, "name": "http" }, { "containerPort": 9090, "name": "admin" }]),
            json!([{ "name": "A", "value": "b" }, { "name": "URL", "valueFrom": reference }]),
            json!([{ "name": "keys", "secret": { "secretName": "keys" } }]),
        )
    }

    #[test]
    fn patch_without_conflicting_entries_is_none() {
        assert_eq!(patch(&desired(), &desired()), None);
        let edited = deployment(
            json!([{ "containerPort": 5000, "name": "http" }, { "containerPort": 80, "name": "other" }]),
            json!([{ "name": "A", "value": "c" }, { "name": "PROXY", "value": "d" }]),
            json!([{ "name": "other", "emptyDir": {} }]),
        );
        assert_eq!(patch(&desired(), &edited), None, "an apply reverts these edits");
    }

    #[test]
    fn patch_deletes_only_conflicting_entries_and_sets_all() {
        let patch_for = |ports: Value, env: Value, volumes: Value| {
            let patch = patch(&desired(), &deployment(ports, env, volumes)).expect("a patch");
            let pod = &patch["spec"]["template"]["spec"];
            (pod["containers"][0]["ports"].clone(), pod["containers"][0]["env"].clone(), pod["volumes"].clone())
        };
        let whole = serde_json::to_value(desired()).expect("JSON");
        let pod = &whole["spec"]["template"]["spec"];
        let with = |gone: Value, list: &Value| {
            let mut all = vec![gone];
            all.extend(list.as_array().expect("a list").iter().cloned());
            Value::from(all)
        };
        let container = &pod["containers"][0];
        let (ports, env, volumes) = patch_for(json!([{ "containerPort": 80, "name": "http" }]), json!([]), json!([]));
        assert_eq!(ports, with(json!({ "$patch": "delete", "containerPort": 80 }), &container["ports"]));
        assert_eq!((&env, &volumes), (&container["env"], &pod["volumes"]));
        for other in
            [json!({ "value": "x" }), json!({ "valueFrom": { "configMapKeyRef": { "name": "a", "key": "b" } } })]
        {
            let mut other = other;
            other["name"] = json!("URL");
            let (_, env, _) = patch_for(json!([]), json!([other]), json!([]));
            assert_eq!(env, with(json!({ "$patch": "delete", "name": "URL" }), &container["env"]));
        }
        let (_, _, volumes) = patch_for(json!([]), json!([]), json!([{ "name": "keys", "emptyDir": {} }]));
        assert_eq!(volumes, with(json!({ "$patch": "delete", "name": "keys" }), &pod["volumes"]));
    }

    #[test]
    fn patch_renumbered_port_of_a_service_is_replaced() {
        let service = |port: i32| -> Service {
            from_value(json!({ "spec": { "ports": [{ "name": "http", "port": port }] } })).expect("a Service")
        };
        let patch = patch(&service(5000), &service(80)).expect("a patch");
        let expected = json!([{ "$patch": "delete", "port": 80 }, { "name": "http", "port": 5000 }]);
        assert_eq!(patch["spec"]["ports"], expected);
    }
}
