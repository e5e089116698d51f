//! Topology spread constraints: pods are spread over zones and nodes if possible. No I/O.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::model::{ValidatedHub, labels};

/// Node labels by which pods are spread.
const TOPOLOGY_KEYS: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

/// Returns the selector of the pods of a hub.
pub(super) fn selector(hub: &ValidatedHub) -> LabelSelector {
    LabelSelector { match_labels: Some(labels::selector(&hub.name)), ..LabelSelector::default() }
}

/// Returns the constraints of a hub with a backplane, or `None` without one. They do not depend on the number of pods,
/// because a changed constraint would replace all pods.
pub(super) fn constraints(hub: &ValidatedHub) -> Option<Vec<TopologySpreadConstraint>> {
    let constraint = |key: &str| TopologySpreadConstraint {
        topology_key: key.to_owned(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(hub)),
        // Pods of the old ReplicaSet do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    hub.backplane.as_ref().map(|_| TOPOLOGY_KEYS.map(constraint).into())
}
