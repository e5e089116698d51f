//! Describes the type of a field in words.

use serde_json::Value;

/// Descriptions of patterns that also fix the length.
const PATTERNS_WITH_LENGTH: [(&str, &str); 3] = [
    ("^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$", "UUID"),
    ("^sha256:[a-f0-9]{64}$", "`sha256:` and 64 lowercase hexadecimal digits"),
    ("^[1-9][0-9]{0,2}%$", "percentage from 1% to 999%"),
];

/// Descriptions of other patterns. A pattern without a description is printed as it is.
const PATTERNS: [(&str, &str); 16] = [
    ("^([0-9]{1,6}(ms|s|m|h))+$", "duration such as `1h30m` or `250ms`"),
    ("^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$", "duration such as `1m30s`, longest unit first"),
    ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "Kubernetes name: lowercase letters, digits, and `-`"),
    ("^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "API group, or empty"),
    ("^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$", "kind"),
    (
        "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        "DNS name, optionally with a leading `*.`",
    ),
    ("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "Kubernetes name: lowercase letters, digits, `-`, and `.`"),
    ("^[-._a-zA-Z0-9]+$", "letters, digits, `-`, `_`, and `.`"),
    ("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", "label value"),
    (r"^\S+$", "string without whitespace"),
    (r"^\S(.*\S)?$", "string without leading or trailing whitespace"),
    ("^[a-zA-Z0-9_][a-zA-Z0-9._-]*$", "image tag: letters, digits, `_`, `.`, and `-`"),
    (
        "^([a-zA-Z0-9][a-zA-Z0-9.-]*(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
        "image name without a tag or a digest",
    ),
    (r"^https?://[^/?#@\s][^?#@\s]*$", "URL with `http://` or `https://`, without user, query, and fragment"),
    (
        r"^https://[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[^?#@\s]*)?$",
        "URL with `https://`, without user, query, and fragment",
    ),
    (
        "^([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off)(,([A-Za-z0-9_:]+=)?(error|warn|info|debug|trace|off))*$",
        "levels or `MODULE=LEVEL`, separated by commas",
    ),
];

/// Returns the type that a schema describes, with its bounds.
pub(super) fn kind(schema: &Value) -> String {
    if schema["x-kubernetes-int-or-string"] == true {
        return format!("{}, or {}", numbers(schema), text(schema));
    }
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return "object with any fields".to_owned();
    }
    match (schema["type"].as_str(), schema.get("additionalProperties")) {
        (Some("array"), _) => list(schema),
        (Some("object"), Some(values)) => format!("map{}; values: {}", count(schema, "Properties"), kind(values)),
        (Some("integer"), _) => numbers(schema),
        (Some("string"), _) => text(schema),
        (Some(other), _) => other.to_owned(),
        (None, _) => "any value".to_owned(),
    }
}

fn list(schema: &Value) -> String {
    let unique = match (schema["x-kubernetes-list-type"].as_str(), schema["x-kubernetes-list-map-keys"].as_array()) {
        (Some("set"), _) => ", unique".to_owned(),
        (Some("map"), Some(keys)) => {
            let keys: Vec<_> = keys.iter().filter_map(Value::as_str).map(|key| format!("`{key}`")).collect();
            format!(", unique by {}", keys.join(" and "))
        }
        _ => String::new(),
    };
    format!("list{}{unique}; items: {}", count(schema, "Items"), kind(&schema["items"]))
}

fn text(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    if schema["format"] == "date-time" {
        return "time such as `2026-01-01T00:00:00Z`".to_owned();
    }
    let pattern = schema["pattern"].as_str();
    let description = |table: &[(&str, &'static str)]| {
        table.iter().find(|(known, _)| Some(*known) == pattern).map(|(_, text)| (*text).to_owned())
    };
    if let Some(description) = description(&PATTERNS_WITH_LENGTH) {
        return description;
    }
    let pattern_text = || pattern.map_or("string".to_owned(), |pattern| format!("string that matches `{pattern}`"));
    let description = description(&PATTERNS).unwrap_or_else(pattern_text);
    format!("{description}{}", bounds(schema["minLength"].as_i64(), schema["maxLength"].as_i64(), " characters"))
}

fn numbers(schema: &Value) -> String {
    let bounds = bounds(schema["minimum"].as_i64(), schema["maximum"].as_i64(), "");
    format!("integer{bounds}")
}

fn count(schema: &Value, unit: &str) -> String {
    bounds(schema[format!("min{unit}")].as_i64(), schema[format!("max{unit}")].as_i64(), "")
}

fn bounds(min: Option<i64>, max: Option<i64>, unit: &str) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!(", {min} to {max}{unit}"),
        (Some(min), None) => format!(", at least {min}{unit}"),
        (None, Some(max)) => format!(", at most {max}{unit}"),
        (None, None) => String::new(),
    }
}
