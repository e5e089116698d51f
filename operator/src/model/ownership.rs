//! Whose an object is. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Whether the object is controlled by the resource with this uid.
pub fn belongs_to(object: &ObjectMeta, uid: &str) -> bool {
    object.owner_references.iter().flatten().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}
