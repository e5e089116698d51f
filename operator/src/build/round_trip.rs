//! Finds the fields that a JSON document loses in types that do not know all of them. No I/O.

use serde_json::Value;

/// Returns the paths of `written` that `understood` lacks. Nulls, empty objects and empty lists do not count.
pub fn lost_paths(written: &Value, understood: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    compare("", written, understood, &mut paths);
    paths
}

fn compare(path: &str, written: &Value, understood: &Value, paths: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match understood.get(key) {
                    Some(understood) => compare(&path, value, understood, paths),
                    None if is_nothing(value) => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            for (index, value) in written.iter().enumerate() {
                let element = understood.get(index).unwrap_or(&Value::Null);
                // People find a container by its name.
                let key = value["name"].as_str().map_or_else(|| index.to_string(), str::to_owned);
                compare(&format!("{path}[{key}]"), value, element, paths);
            }
        }
        // A scalar may be written differently (quantities), but it is there.
        _ => {}
    }
}

fn is_nothing(value: &Value) -> bool {
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
    fn lost_lists_only_paths_missing_from_the_parsed_document() {
        let written =
            json!({"a": 1, "b": null, "c": {}, "d": {"e": 1, "f": 2}, "g": [{"name": "x", "h": 1}, {"i": 1}]});
        let understood = json!({"a": "1", "d": {"e": 1}, "g": [{"name": "x"}, {}]});
        assert_eq!(lost_paths(&written, &understood), ["d.f", "g[x].h", "g[1].i"]);
        assert!(lost_paths(&written, &written).is_empty());
    }
}
