//! The resource's schema as the API server has it: of a definition that may be older than this operator. Pure.
//!
//! The server drops fields of a spec that the definition has not got, and refuses a status with such fields as a whole.

use kube::Resource;
use notification_hub_crds::NotificationHub;
use serde_json::Value;

/// Where the API server publishes it, for everybody who is logged in.
pub fn path() -> String {
    format!("/openapi/v3/apis/{}", NotificationHub::api_version(&()))
}

/// The resource's schema in a document of OpenAPI.
pub fn find(mut document: Value) -> Option<Value> {
    let schemas = document.pointer_mut("/components/schemas")?.as_object_mut()?;
    let is_ours = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| {
            kinds
                .iter()
                .any(|it| it["kind"] == *NotificationHub::kind(&()) && it["group"] == *NotificationHub::group(&()))
        })
    };
    schemas.values_mut().find(|schema| is_ours(schema)).map(Value::take)
}

/// The fields that `known` has and `served` has not, in the order of `known`.
pub fn missing(known: &Value, served: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    compare(String::new(), known, served, &mut fields);
    fields
}

fn compare(path: String, known: &Value, served: &Value, missing: &mut Vec<String>) {
    for (name, field) in known["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match served["properties"].get(name) {
            Some(served) => compare(path, field, served, missing),
            None if keeps_all(served) => {}
            None => missing.push(path),
        }
    }
    for within in ["items", "additionalProperties"] {
        if let (Some(known), Some(served)) = (known.get(within), served.get(within)) {
            compare(format!("{path}[]"), known, served, missing);
        }
    }
}

/// Takes out of `value` what `served` has not got.
pub fn keep(value: &mut Value, served: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(properties) = served["properties"].as_object() {
                fields.retain(|name, _| properties.contains_key(name) || keeps_all(served));
            }
            for (name, field) in fields {
                keep(field, served["properties"].get(name).unwrap_or(&served["additionalProperties"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| keep(item, &served["items"])),
        _ => {}
    }
}

fn keeps_all(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: Value) -> Value {
        json!({ "type": "object", "properties": properties })
    }

    #[test]
    fn missing_lists_paths_absent_from_an_older_crd() {
        let text = json!({ "type": "string" });
        let list = |properties| json!({ "type": "array", "items": object(properties) });
        let map = |properties| json!({ "type": "object", "additionalProperties": object(properties) });
        let known = object(json!({
            "spec": object(json!({ "a": text, "new": object(json!({ "inner": text })) })),
            "list": list(json!({ "a": text, "new": text })),
            "map": map(json!({ "a": text, "new": text })),
        }));
        let served = object(json!({
            "metadata": { "allOf": [{ "$ref": "#/components/schemas/ObjectMeta" }] },
            "spec": object(json!({ "a": text, "gone": text })),
            "list": list(json!({ "a": text })),
            "map": map(json!({ "a": text })),
        }));
        assert_eq!(missing(&known, &served), ["spec.new", "list[].new", "map[].new"]);
        assert_eq!(missing(&known, &known), [""; 0]);
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        assert_eq!(missing(&known, &anything), [""; 0]);
    }

    #[test]
    fn keep_drops_fields_absent_from_the_served_schema() {
        let text = json!({ "type": "string" });
        let served = object(json!({
            "a": text,
            "list": { "type": "array", "items": object(json!({ "a": text })) },
            "map": { "type": "object", "additionalProperties": text },
            "any": { "type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": { "a": text } },
        }));
        let mut value = json!({
            "a": "1", "new": "2", "list": [{ "a": "1", "new": "2" }], "map": { "x": "1" }, "any": { "a": "1", "b": "2" },
        });
        keep(&mut value, &served);
        let kept = json!({ "a": "1", "list": [{ "a": "1" }], "map": { "x": "1" }, "any": { "a": "1", "b": "2" } });
        assert_eq!(value, kept);
    }

    #[test]
    fn find_returns_the_schema_of_the_kind() {
        let of = |kind: &str| json!({ "x-kubernetes-group-version-kind": [{ "group": "notificationhub.rs", "kind": kind }] });
        let document = json!({ "components": { "schemas": {
            "a": {}, "b": of("NotificationHubList"), "c": of("NotificationHub"),
        } } });
        assert_eq!(find(document), Some(of("NotificationHub")));
        assert_eq!(find(json!({ "components": {} })), None);
    }
}
