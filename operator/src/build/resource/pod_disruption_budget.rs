//! The PodDisruptionBudget, which limits evictions to one pod of the hub at a time. No I/O.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::metadata;
use crate::model::{ValidatedHub, labels};

/// Returns the PodDisruptionBudget, or `None` for a hub of one pod, because its node could not be drained.
pub(in crate::build) fn build(hub: &ValidatedHub) -> Option<PodDisruptionBudget> {
    (hub.scale.max_replicas() > 1).then(|| PodDisruptionBudget {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&hub.name)),
                ..LabelSelector::default()
            }),
            // Pods that are not ready do not block the drain of a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    })
}
