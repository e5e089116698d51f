//! Lists the fields and the validation rules of the resource, from the schema in its CRD. No I/O.

use serde_json::Value;

/// Start of the last sentence of a description, which states the default.
const DEFAULT_PREFIX: &str = "Defaults to ";

/// Field of the resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Path of the field, such as `spec.image.pullSecrets[].name`. `[]` follows a list whose items have fields.
    pub path: String,
    /// Whether the object that contains the field requires it.
    pub required: bool,
    /// Schema of the field.
    pub schema: Value,
}

/// Validation rule that the API server enforces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Path of the field that the rule reports.
    pub path: String,
    /// Message of the API server for a resource that violates the rule.
    pub message: String,
}

impl Field {
    /// Returns the description without the default.
    pub fn meaning(&self) -> String {
        let text = self.description();
        text.split(DEFAULT_PREFIX).next().unwrap_or_default().trim_end().to_owned()
    }

    /// Returns the default that the description states, or `None` if it states none.
    pub fn default(&self) -> Option<String> {
        let text = self.description();
        let (_, default) = text.split_once(DEFAULT_PREFIX)?;
        Some(default.trim_end_matches('.').to_owned())
    }

    /// Returns whether the field is an object with fields of its own. A map is not.
    pub fn is_object(&self) -> bool {
        self.schema["type"] == "object" && self.schema.get("additionalProperties").is_none()
    }

    /// Returns whether `resource` sets the field.
    pub fn is_set_in(&self, resource: &Value) -> bool {
        is_set(resource, &self.path)
    }

    fn description(&self) -> String {
        let description = self.schema["description"].as_str().unwrap_or_default();
        description.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Returns every field of the resource with this schema. The fields of an object follow the object.
pub fn fields(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    collect_fields("", schema, &mut fields);
    fields
}

fn collect_fields(path: &str, schema: &Value, fields: &mut Vec<Field>) {
    let required = schema["required"].as_array();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let required = required.is_some_and(|names| names.iter().any(|required| required == name));
        fields.push(Field { path: path.clone(), required, schema: property.clone() });
        let (path, schema) = nested_fields_of(property, &path);
        collect_fields(&path, schema, fields);
    }
}

/// Returns the path and the schema that contain the fields of a field. For a list, these are the ones of its items.
fn nested_fields_of<'a>(schema: &'a Value, path: &str) -> (String, &'a Value) {
    match schema.get("items") {
        Some(items) => (format!("{path}[]"), items),
        None => (path.to_owned(), schema),
    }
}

/// Returns every validation rule of the schema.
pub fn rules(schema: &Value) -> Vec<Rule> {
    let mut rules = collect_rules("", schema);
    for field in fields(schema) {
        rules.extend(collect_rules(&field.path, &field.schema));
        if let Some(items) = field.schema.get("items") {
            rules.extend(collect_rules(&field.path, items));
        }
    }
    rules
}

fn collect_rules(path: &str, schema: &Value) -> Vec<Rule> {
    let validations = schema["x-kubernetes-validations"].as_array();
    let text = |rule: &Value, key: &str| rule[key].as_str().unwrap_or_default().to_owned();
    let rule = |rule| Rule { path: format!("{path}{}", text(rule, "fieldPath")), message: text(rule, "message") };
    validations.into_iter().flatten().map(rule).collect()
}

fn is_set(value: &Value, path: &str) -> bool {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let name = first.trim_end_matches("[]");
    match (value.get(name), rest) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(Value::Array(items)), Some(rest)) => items.iter().any(|item| is_set(item, rest)),
        (Some(object), Some(rest)) => is_set(object, rest),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn default_at_end_of_description_is_split_off() {
        let field = |description: &str| Field {
            path: "spec.x".to_owned(),
            required: false,
            schema: json!({ "description": description }),
        };
        let with_default = field("x is\na duration. Defaults to `5m`.");
        assert_eq!(
            (with_default.meaning().as_str(), with_default.default().as_deref()),
            ("x is a duration.", Some("`5m`"))
        );
        let without_default = field("x is a duration.");
        assert_eq!((without_default.meaning().as_str(), without_default.default()), ("x is a duration.", None));
    }

    #[test]
    fn fields_of_list_items_are_listed_and_found() {
        let schema = json!({ "properties": { "list": {
            "required": ["a"],
            "items": { "required": ["a"], "properties": { "a": {}, "b": {} } },
        } } });
        let fields = fields(&schema);
        let paths: Vec<_> = fields.iter().map(|field| (field.path.as_str(), field.required)).collect();
        assert_eq!(paths, [("list", false), ("list[].a", true), ("list[].b", false)]);
        let resource = json!({ "list": [{ "a": 1 }, { "a": 2 }] });
        let set: Vec<_> = fields.iter().map(|field| field.is_set_in(&resource)).collect();
        assert_eq!(set, [true, true, false]);
    }
}
