//! The resource's schema at the API server, from a CRD that may be older than this operator. No I/O.
//!
//! The API server drops fields of a spec that the CRD lacks. It refuses an applied status that has such fields.

use kube::Resource;
use notification_hub_crds::NotificationHub;
use serde_json::Value;

/// Returns the path of the OpenAPI document of the resource's group. Every authenticated client may read it.
pub fn openapi_path() -> String {
    format!("/openapi/v3/apis/{}", NotificationHub::api_version(&()))
}

/// Returns the resource's schema in an OpenAPI document, or `None` if the document lacks it.
pub fn find_schema(mut document: Value) -> Option<Value> {
    let schemas = document.pointer_mut("/components/schemas")?.as_object_mut()?;
    let is_notification_hub = |schema: &Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.is_some_and(|kinds| {
            kinds
                .iter()
                .any(|it| it["kind"] == *NotificationHub::kind(&()) && it["group"] == *NotificationHub::group(&()))
        })
    };
    schemas.values_mut().find(|schema| is_notification_hub(schema)).map(Value::take)
}

/// Returns the paths of the fields that `known` has and `served` lacks, in the order of `known`.
pub fn missing_fields(known: &Value, served: &Value) -> Vec<String> {
    let mut fields = Vec::new();
    collect_missing(String::new(), known, served, &mut fields);
    fields
}

/// Adds the missing fields below `path` to `missing`.
fn collect_missing(path: String, known: &Value, served: &Value, missing: &mut Vec<String>) {
    for (name, field) in known["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match served["properties"].get(name) {
            Some(served) => collect_missing(path, field, served, missing),
            None if preserves_unknown_fields(served) => {}
            None => missing.push(path),
        }
    }
    for within in ["items", "additionalProperties"] {
        if let (Some(known), Some(served)) = (known.get(within), served.get(within)) {
            collect_missing(format!("{path}[]"), known, served, missing);
        }
    }
}

/// Removes the fields from `value` that `served` lacks.
pub fn retain_known_fields(value: &mut Value, served: &Value) {
    match value {
        Value::Object(fields) => {
            if let Some(properties) = served["properties"].as_object() {
                fields.retain(|name, _| properties.contains_key(name) || preserves_unknown_fields(served));
            }
            for (name, field) in fields {
                retain_known_fields(field, served["properties"].get(name).unwrap_or(&served["additionalProperties"]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| retain_known_fields(item, &served["items"])),
        _ => {}
    }
}

/// Returns whether the API server keeps fields that the schema lacks.
fn preserves_unknown_fields(schema: &Value) -> bool {
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
    fn missing_fields_lists_paths_absent_from_an_older_crd() {
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
        assert_eq!(missing_fields(&known, &served), ["spec.new", "list[].new", "map[].new"]);
        assert_eq!(missing_fields(&known, &known), [""; 0]);
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        assert_eq!(missing_fields(&known, &anything), [""; 0]);
    }

    #[test]
    fn retain_known_fields_drops_fields_absent_from_the_served_schema() {
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
        retain_known_fields(&mut value, &served);
        let kept = json!({ "a": "1", "list": [{ "a": "1" }], "map": { "x": "1" }, "any": { "a": "1", "b": "2" } });
        assert_eq!(value, kept);
    }

    #[test]
    fn find_schema_returns_the_schema_of_the_kind() {
        let schema_of = |kind: &str| json!({ "x-kubernetes-group-version-kind": [{ "group": "notificationhub.rs", "kind": kind }] });
        let document = json!({ "components": { "schemas": {
            "a": {}, "b": schema_of("NotificationHubList"), "c": schema_of("NotificationHub"),
        } } });
        assert_eq!(find_schema(document), Some(schema_of("NotificationHub")));
        assert_eq!(find_schema(json!({ "components": {} })), None);
    }
}
