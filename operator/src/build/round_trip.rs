//! Finds the fields that a JSON document loses when it is parsed into types that lack them. No I/O.

use serde_json::Value;

/// Returns the paths of `original` that `parsed` lacks. Nulls, empty objects and empty lists do not count.
pub fn lost_paths(original: &Value, parsed: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", original, parsed, &mut paths);
    paths
}

/// Adds the lost paths below `path` to `paths`.
fn compare(path: &str, original: &Value, parsed: &Value, paths: &mut Vec<String>) {
    match (original, parsed) {
        (Value::Object(original), Value::Object(parsed)) => {
            for (key, value) in original {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match parsed.get(key) {
                    Some(parsed) => compare(&path, value, parsed, paths),
                    None if is_empty(value) => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(original), Value::Array(parsed)) => {
            for (index, value) in original.iter().enumerate() {
                let element = parsed.get(index).unwrap_or(&Value::Null);
                // A name identifies an entry better than its index.
                let key = value["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
                compare(&format!("{path}[{key}]"), value, element, paths);
            }
        }
        // A scalar, such as a quantity, may be formatted differently.
        _ => {}
    }
}

/// Returns whether a value is null or empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lost_paths_lists_only_paths_missing_from_the_parsed_document() {
        let original =
            json!({"a": 1, "b": null, "c": {}, "d": {"e": 1, "f": 2}, "g": [{"name": "x", "h": 1}, {"i": 1}]});
        let parsed = json!({"a": "1", "d": {"e": 1}, "g": [{"name": "x"}, {}]});
        assert_eq!(lost_paths(&original, &parsed), ["d.f", "g[x].h", "g[1].i"]);
        assert!(lost_paths(&original, &original).is_empty());
    }
}
