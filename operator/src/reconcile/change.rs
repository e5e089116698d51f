//! Change of a child. No I/O.

use serde_json::Value;

/// Change of a child by a write or a deletion.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Kind and name of the child.
    pub object: String,
    /// The existing object, or `None` if it does not exist.
    pub before: Option<Value>,
    /// The resulting object, or `None` if it is deleted.
    pub after: Option<Value>,
}

impl Change {
    /// Returns the change between the existing and the resulting object, or `None` if they do not differ.
    pub(super) fn between(object: String, before: Option<Value>, after: Value) -> Option<Change> {
        let (before, after) = (before.map(content), content(after));
        (before.as_ref() != Some(&after)).then_some(Change { object, before, after: Some(after) })
    }
}

/// Returns an object without its status and the metadata that the API server maintains.
fn content(mut object: Value) -> Value {
    if let Some(whole) = object.as_object_mut() {
        whole.shift_remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"] {
            metadata.shift_remove(field);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn change_ignores_status_and_server_managed_metadata() {
        let object = |version: &str, port: i32| {
            json!({
                "metadata": { "name": "a", "resourceVersion": version, "generation": version, "managedFields": [version] },
                "spec": { "port": port },
                "status": { "seen": version },
            })
        };
        let between = |before, after| Change::between("Service a".to_owned(), before, after);
        assert_eq!(between(Some(object("1", 80)), object("2", 80)), None);
        let change = between(Some(object("1", 80)), object("2", 81)).expect("a change");
        let shown = |port| Some(json!({ "metadata": { "name": "a" }, "spec": { "port": port } }));
        assert_eq!((change.before, change.after), (shown(80), shown(81)));
        assert_eq!(between(None, object("1", 80)).expect("a new object").before, None);
    }
}
