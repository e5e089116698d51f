//! Builds the metadata of children and pods. Only this module sets owner references and labels. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::model::ValidatedHub;
use crate::model::labels::{self, Labels};

/// Returns the metadata of the child `name`.
pub(super) fn for_child(hub: &ValidatedHub, name: impl Into<String>) -> ObjectMeta {
    for_child_with(hub, name, &Labels::new(), &BTreeMap::new())
}

/// Returns the metadata of a child with labels and annotations of the spec. They override inherited ones. The labels of
/// the operator override both.
pub(super) fn for_child_with(
    hub: &ValidatedHub,
    name: impl Into<String>,
    labels: &Labels,
    annotations: &BTreeMap<String, String>,
) -> ObjectMeta {
    let inherited = &hub.inherited;
    let annotations = merge_over(&inherited.annotations, annotations.clone());
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(hub.namespace.clone()),
        labels: Some(merge_over(&merge_over(&inherited.labels, labels.clone()), labels::recommended(&hub.name))),
        annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
        owner_references: Some(vec![hub.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// Returns the metadata of the pods with annotations of the operator. The labels and annotations of the operator override
/// inherited ones.
pub(super) fn for_pods(hub: &ValidatedHub, annotations: BTreeMap<String, String>) -> ObjectMeta {
    ObjectMeta {
        labels: Some(merge_over(&hub.inherited.labels, labels::pod_labels(&hub.name, &hub.source))),
        annotations: Some(merge_over(&hub.inherited.annotations, annotations)),
        ..ObjectMeta::default()
    }
}

/// Returns the entries of both maps. Those of `upper` override those of `lower`.
fn merge_over(lower: &BTreeMap<String, String>, upper: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = lower.clone();
    all.extend(upper);
    all
}
