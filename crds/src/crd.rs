//! Generates the CustomResourceDefinition (CRD) from the types. No I/O.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::NotificationHub;

/// Error of generating the CRD.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The CRD cannot be converted to JSON.
    #[error("cannot convert the CustomResourceDefinition to JSON")]
    Json(#[from] serde_json::Error),
    /// The CRD cannot be serialized as YAML.
    #[error("cannot serialize the CustomResourceDefinition as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// JSON pointer to the schema of the spec's fields in the CRD.
const SPEC_PROPERTIES: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// Returns the CRD of [`NotificationHub`] as JSON.
pub fn crd_json() -> Result<Value, CrdError> {
    let mut crd = serde_json::to_value(NotificationHub::crd())?;
    normalize(&mut crd);
    if let Some(spec) = crd.pointer_mut(SPEC_PROPERTIES) {
        mark_objects_atomic(spec);
    }
    Ok(crd)
}

/// Returns the CRD of [`NotificationHub`] as YAML.
pub fn crd_yaml() -> Result<String, CrdError> {
    Ok(serde_saphyr::to_string(&crd_json()?)?)
}

/// Removes `nullable` and `null` enum members, joins the lines of descriptions, and writes `1000.0` as `1000`.
///
/// The derive adds nulls for every `Option`. With them, the API server would store `source: {direct: null}`, and
/// `has(self.direct)` would be true. Without them, it prunes nulls before it evaluates validation rules.
fn normalize(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Value::Array(members)) = map.get_mut("enum") {
                members.retain(|member| !member.is_null());
            }
            if let Some(Value::String(description)) = map.get_mut("description") {
                // `kubectl explain` keeps line breaks, and these are only those of the source code.
                *description = description.replace('\n', " ");
            }
            map.values_mut().for_each(normalize);
        }
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
                // Only bounds of fields are numbers here. They fit into an `i64`.
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}

/// Marks every object without required fields as atomic for server-side apply.
///
/// Otherwise, an API server that removes the last field of such an object sets the object to null, and then rejects the null.
fn mark_objects_atomic(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(mark_objects_atomic);
            if map.get("type").is_some_and(|kind| kind == "object") && !map.contains_key("required") {
                map.insert("x-kubernetes-map-type".to_owned(), Value::from("atomic"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mark_objects_atomic),
        _ => {}
    }
}
