//! The metadata of every child: the only place where owner reference and labels are set. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::{ValidatedHub, labels};

/// Metadata of the child called `name`.
pub(super) fn of(hub: &ValidatedHub, name: impl Into<String>) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(hub.namespace.clone()),
        labels: Some(labels::recommended(&hub.name)),
        owner_references: Some(vec![hub.owner.clone()]),
        ..ObjectMeta::default()
    }
}
