//! Tests that the committed CRD and `docs/resource.md` equal the generated ones, and that the schema meets requirements of API
//! servers and GitOps tools.
//!
//! `UPDATE_GENERATED=1 cargo test -p notification-hub-crds` updates the files.

mod reference;

use std::collections::BTreeSet;
use std::path::Path;

use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::ConditionType;
use notification_hub_crds::crd::{crd_json, crd_yaml};
use notification_hub_crds::field::{self, fields};
use serde::Deserialize;
use serde_json::Value;

/// Asserts that a file of the project equals the generated text. Updates the file if `UPDATE_GENERATED` is set.
fn assert_current(path: &str, generated: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&file, generated).expect("a writable file");
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let update = "UPDATE_GENERATED=1 cargo test -p notification-hub-crds";
    assert!(committed == generated, "{path} is out of date; run {update}");
}

#[test]
fn committed_crd_equals_generated_crd() {
    assert_current("crds/yaml/notificationhubs.yaml", &crd_yaml().expect("a CRD"));
}

#[test]
fn committed_reference_equals_generated_reference() {
    let path = "docs/resource.md";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let committed = std::fs::read_to_string(file).expect("a readable page");
    let (head, _) = committed.split_once(reference::MARKER).expect("the marker");
    let version = &crd_json().expect("a CRD")["spec"]["versions"][0];
    let page = reference::page(version, &reference::samples());
    assert_current(path, &format!("{head}{}{page}", reference::MARKER));
}

/// The reference finds fields and rules by their paths. This test finds them anywhere in the schema.
#[test]
fn reference_contains_every_schema_field_and_validation_rule() {
    let mut count = 0;
    walk("", &schema(), &mut |_, value| {
        count += value.get("properties").and_then(Value::as_object).map_or(0, |properties| properties.len());
    });
    assert_eq!(fields(&schema()).len(), count);
    let listed: Vec<_> = field::rules(&schema()).into_iter().map(|rule| rule.message).collect();
    let messages = rule_messages();
    assert!(listed.len() == messages.len() && messages.iter().all(|message| listed.contains(message)), "{listed:#?}");
}

/// Calls `visit` with the path of every value in `value`.
fn walk(path: &str, value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, value);
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| walk(&format!("{path}.{key}"), inner, visit)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| walk(&format!("{path}[{i}]"), inner, visit))
        }
        _ => {}
    }
}

fn schema() -> Value {
    crd_json().expect("a CRD")["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

#[test]
fn schema_every_field_has_a_description() {
    let mut undescribed = Vec::new();
    walk("", &schema(), &mut |path, value| {
        if let Some(Value::Object(properties)) = value.get("properties") {
            for (name, property) in properties {
                // The API server adds the description of metadata.
                let described = property["description"].as_str().is_some_and(|text| !text.trim().is_empty());
                if !described && name != "metadata" {
                    undescribed.push(format!("{path}.{name}"));
                }
            }
        }
    });
    assert!(undescribed.is_empty(), "without description: {undescribed:#?}");
}

/// The schema has no defaults. Descriptions state them, and the reference has a column of them.
#[test]
fn schema_every_optional_spec_field_documents_its_default() {
    let undocumented: Vec<_> = fields(&schema())
        .into_iter()
        .filter(|field| field.path.starts_with("spec.") && !field.required)
        .filter(|field| !field.is_object() && field.default().is_none())
        .map(|field| field.path)
        .collect();
    assert!(undocumented.is_empty(), "end their descriptions with \"Defaults to …\": {undocumented:#?}");
}

#[test]
fn status_conditions_description_lists_every_condition_type() {
    let field = fields(&schema()).into_iter().find(|field| field.path == "status.conditions").expect("conditions");
    for kind in ConditionType::ALL {
        assert!(field.meaning().contains(kind.as_str()), "{} is not in: {}", kind.as_str(), field.meaning());
    }
}

#[test]
fn schema_has_no_nullable_default_or_empty_list() {
    let mut found = Vec::new();
    walk("", &crd_json().expect("a CRD"), &mut |path, value| match value {
        Value::Array(items) if items.is_empty() => found.push(format!("{path}: empty list")),
        Value::Null => found.push(format!("{path}: null")),
        Value::Object(map) if map.contains_key("nullable") => found.push(format!("{path}: nullable")),
        // A field may be named `default`. The keyword is never an object with a type.
        Value::Object(map) if map.get("default").is_some_and(|d| d.get("type").is_none()) => {
            found.push(format!("{path}: default"));
        }
        _ => {}
    });
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn spec_schema_bounds_every_string_and_list() {
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
fn validation_rules_all_have_a_message() {
    assert!(rule_messages().iter().all(|message| message.len() > 20), "{:#?}", rule_messages());
}

/// Returns the message of every CEL rule of the schema.
fn rule_messages() -> Vec<String> {
    let mut messages = Vec::new();
    walk("", &schema(), &mut |_, value| {
        for rule in value.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
            messages.push(rule["message"].as_str().unwrap_or_default().to_owned());
        }
    });
    messages
}

#[derive(Deserialize)]
struct Case {
    name: String,
    refused: Option<String>,
    manifest: Value,
}

/// The cluster tests check that the API server rejects these cases with these messages.
#[test]
fn validation_rules_all_have_a_rejected_case() {
    let cases: Vec<Case> = serde_saphyr::from_str(include_str!("rules.yaml")).expect("valid YAML");
    for message in rule_messages() {
        assert!(cases.iter().filter_map(|case| case.refused.as_ref()).any(|part| message.contains(part)), "{message}");
    }
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "duplicate name {:?}", case.name);
        assert_eq!(case.manifest["kind"], "NotificationHub", "{}", case.name);
        let parsed = serde_json::from_value::<NotificationHub>(case.manifest.clone());
        assert!(case.refused.is_some() || parsed.is_ok(), "{}: {:?}", case.name, parsed.err());
    }
}

#[test]
fn crd_declares_scale_subresource_printer_columns_and_condition_map() {
    let version = &crd_json().expect("a CRD")["spec"]["versions"][0].clone();
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
