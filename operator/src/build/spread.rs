//! Where the pods of a hub with several go: to different zones and nodes, if it can be helped. No I/O.

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::model::{ValidatedHub, labels};

const TOPOLOGIES: [&str; 2] = ["topology.kubernetes.io/zone", "kubernetes.io/hostname"];

/// With a backplane, whatever the number of pods: one that changes with them would replace all pods of a hub that is
/// scaled.
pub(super) fn constraints(hub: &ValidatedHub) -> Option<Vec<TopologySpreadConstraint>> {
    let constraint = |topology: &str| TopologySpreadConstraint {
        topology_key: topology.to_owned(),
        max_skew: 1,
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels::selector(&hub.name)),
            ..LabelSelector::default()
        }),
        // Those that are about to go do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    hub.backplane.as_ref().map(|_| TOPOLOGIES.map(constraint).into())
}
