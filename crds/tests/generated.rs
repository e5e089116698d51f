//! The committed definition is the generated one, and is shaped as API servers and GitOps tools like it.
//!
//! `UPDATE_GENERATED=1 cargo test -p notification-hub-crds` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use notification_hub_crds::NotificationHub;
use notification_hub_crds::definition::{definition, definition_yaml};
use serde::Deserialize;
use serde_json::Value;

#[test]
fn committed_definition_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("yaml/notificationhubs.yaml");
    let generated = definition_yaml().expect("the definition prints");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &generated).expect("the definition can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "crds/yaml/notificationhubs.yaml is old: run UPDATE_GENERATED=1 cargo test -p notification-hub-crds"
    );
}

/// Calls `see` with the path of every object in `value`.
fn walk(path: &str, value: &Value, see: &mut impl FnMut(&str, &Value)) {
    see(path, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| walk(&format!("{path}.{key}"), inner, see)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| walk(&format!("{path}[{i}]"), inner, see))
        }
        _ => {}
    }
}

fn schema() -> Value {
    definition().expect("a definition")["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn every_field_is_described() {
    let mut bare = Vec::new();
    walk("", &schema(), &mut |path, value| {
        if let Some(Value::Object(properties)) = value.get("properties") {
            for (name, property) in properties {
                // The API server describes metadata itself.
                let described = property["description"].as_str().is_some_and(|text| !text.trim().is_empty());
                if !described && name != "metadata" {
                    bare.push(format!("{path}.{name}"));
                }
            }
        }
    });
    assert!(bare.is_empty(), "without description: {bare:#?}");
}

#[test]
fn nothing_is_nullable_defaulted_or_an_empty_list() {
    let mut found = Vec::new();
    walk("", &definition().expect("a definition"), &mut |path, value| match value {
        Value::Array(items) if items.is_empty() => found.push(format!("{path}: empty list")),
        Value::Null => found.push(format!("{path}: null")),
        Value::Object(map) if map.contains_key("nullable") => found.push(format!("{path}: nullable")),
        // A field may be called default; the keyword is never an object with a type.
        Value::Object(map) if map.get("default").is_some_and(|d| d.get("type").is_none()) => {
            found.push(format!("{path}: default"));
        }
        _ => {}
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn strings_and_lists_of_the_spec_are_bounded() {
    let mut unbounded = Vec::new();
    walk("spec", &schema()["properties"]["spec"], &mut |path, value| {
        let bounded = |key: &str| value.get(key).is_some_and(Value::is_number);
        match value.get("type").and_then(Value::as_str) {
            Some("string") if value.get("enum").is_none() && !bounded("maxLength") => unbounded.push(path.to_owned()),
            Some("array") if !bounded("maxItems") => unbounded.push(path.to_owned()),
            _ => {}
        }
    });
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}

#[test]
fn every_rule_has_a_message() {
    assert!(rules().iter().all(|message| message.len() > 20), "{:#?}", rules());
}

/// The message of every CEL rule.
fn rules() -> Vec<String> {
    let mut rules = Vec::new();
    walk("", &schema(), &mut |_, value| {
        for rule in value.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            rules.push(rule["message"].as_str().unwrap_or_default().to_owned());
        }
    });
    rules
}

#[derive(Deserialize)]
struct Case {
    name: String,
    refused: Option<String>,
    manifest: Value,
}

/// The API server is not here: that it says so too is looked at in the cluster tests.
#[test]
fn every_rule_is_in_the_table_that_the_api_server_is_asked() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("rules.yaml")).expect("the table");
    for rule in rules() {
        assert!(cases.iter().filter_map(|case| case.refused.as_ref()).any(|part| rule.contains(part)), "{rule}");
    }
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "two cases are called {:?}", case.name);
        assert_eq!(case.manifest["kind"], "NotificationHub", "{}", case.name);
        let understood = serde_json::from_value::<NotificationHub>(case.manifest.clone());
        assert!(case.refused.is_some() || understood.is_ok(), "{}: {:?}", case.name, understood.err());
    }
}

#[test]
fn the_resource_can_be_scaled_listed_and_waited_for() {
    let version = &definition().expect("a definition")["spec"]["versions"][0].clone();
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
    assert_eq!(version["subresources"]["scale"]["statusReplicasPath"], ".status.replicas");
    assert_eq!(version["subresources"]["scale"]["labelSelectorPath"], ".status.selector");
    let columns: Vec<_> =
        version["additionalPrinterColumns"].as_array().expect("columns").iter().map(|c| c["name"].clone()).collect();
    assert_eq!(columns, ["Ready", "Replicas", "Source", "Connections", "Age", "URL", "Reason"]);
    let conditions = &schema()["properties"]["status"]["properties"]["conditions"];
    assert_eq!(conditions["x-kubernetes-list-type"], "map");
    assert_eq!(conditions["x-kubernetes-list-map-keys"], serde_json::json!(["type"]));
}
