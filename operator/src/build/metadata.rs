//! The metadata of every child: the only place where owner reference and labels are set. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::ValidatedHub;
use crate::model::labels::{self, Labels};

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

/// The same with labels and annotations of the user's. A label of ours wins.
pub(super) fn with(
    hub: &ValidatedHub,
    name: impl Into<String>,
    labels: &Labels,
    annotations: &BTreeMap<String, String>,
) -> ObjectMeta {
    let metadata = of(hub, name);
    let mut all = labels.clone();
    all.extend(metadata.labels.into_iter().flatten());
    ObjectMeta {
        labels: Some(all),
        annotations: Some(annotations.clone()).filter(|annotations| !annotations.is_empty()),
        ..metadata
    }
}
