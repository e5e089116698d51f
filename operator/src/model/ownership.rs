//! Ownership of children by hubs. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use notification_hub_crds::ADOPT_ANNOTATION;

/// Returns whether the resource with this uid controls the object.
pub fn is_controlled_by(object: &ObjectMeta, uid: &str) -> bool {
    object.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// Returns whether the resource with this uid may write the object: it controls the object, or the object has the adoption
/// annotation and no controller.
pub fn is_adoptable_by(object: &ObjectMeta, uid: &str) -> bool {
    let is_controlled = object.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
    let has_adopt_annotation =
        object.annotations.iter().flatten().any(|(name, value)| name == ADOPT_ANNOTATION && value == "true");
    is_controlled_by(object, uid) || (has_adopt_annotation && !is_controlled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    #[test]
    fn is_adoptable_by_needs_the_annotation_and_no_other_controller() {
        let owner = |uid: &str, controller: bool| json!([{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": uid, "controller": controller }]);
        let annotated = |value: &str| json!({ ADOPT_ANNOTATION: value });
        let table: [(Value, Value, bool); 7] = [
            (owner("own", true), json!({}), true),
            (json!([]), json!({}), false),
            (json!([]), annotated("true"), true),
            (json!([]), annotated("yes"), false),
            (owner("other", false), annotated("true"), true),
            (owner("other", true), annotated("true"), false),
            (owner("own", false), json!({}), false),
        ];
        for (owners, annotations, expected) in table {
            let object = json!({ "ownerReferences": owners, "annotations": annotations });
            let metadata: ObjectMeta = from_value(object.clone()).expect("metadata");
            assert_eq!(is_adoptable_by(&metadata, "own"), expected, "{object}");
        }
    }
}
