//! The CustomResourceDefinition as it is printed, committed and installed.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::NotificationHub;

/// The definition could not be written as text.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The generated definition is no JSON.
    #[error("the definition cannot be turned into JSON")]
    Json(#[from] serde_json::Error),
    /// The generated definition cannot be printed as YAML.
    #[error("the definition cannot be printed as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// Where the definition has the schema of the spec's fields.
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";

/// The CustomResourceDefinition of [`NotificationHub`].
pub fn definition() -> Result<Value, DefinitionError> {
    let mut definition = serde_json::to_value(NotificationHub::crd())?;
    tidy(&mut definition);
    if let Some(spec) = definition.pointer_mut(SPEC) {
        apply_as_a_whole(spec);
    }
    Ok(definition)
}

/// The CustomResourceDefinition of [`NotificationHub`] as YAML.
pub fn definition_yaml() -> Result<String, DefinitionError> {
    Ok(serde_saphyr::to_string(&definition()?)?)
}

/// Removes `nullable` and `null` enum members, which the derive adds for every `Option`, and writes `1000.0` as `1000`.
///
/// With nulls `source: {direct: null}` would be stored and `has(self.direct)` be true; without them the API server
/// prunes nulls before the rules run.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if let Some(Value::Array(members)) = map.get_mut("enum") {
                members.retain(|member| !member.is_null());
            }
            map.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
                // Bounds of the schema: small, so that nothing is cut off.
                *value = Value::from(float as i64);
            }
        }
        _ => {}
    }
}

/// Has servers apply each object that may be empty as a whole: one that takes away its last field, because nobody applies it
/// any more, leaves null behind otherwise, and refuses that.
fn apply_as_a_whole(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.values_mut().for_each(apply_as_a_whole);
            if map.get("type").is_some_and(|kind| kind == "object") && !map.contains_key("required") {
                map.insert("x-kubernetes-map-type".to_owned(), Value::from("atomic"));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(apply_as_a_whole),
        _ => {}
    }
}
