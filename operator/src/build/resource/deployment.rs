//! The Deployment of the hub's pods. No I/O.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::{metadata, pod_template, spread, user_pod_template};
use crate::model::ValidatedHub;

/// Number of old ReplicaSets that are kept for inspection, and for `kubectl rollout undo` while a hub is paused.
/// Otherwise the next reconcile reverts it.
const REVISION_HISTORY_LIMIT: i32 = 3;

/// Returns the Deployment. The error lists what is invalid in the merged pod template.
pub(in crate::build) fn build(hub: &ValidatedHub, config: &str) -> Result<Deployment, Vec<String>> {
    let selector = spread::selector(hub);
    let template = user_pod_template::merge(pod_template::template(hub, config), hub.pod_template.clone(), &selector)?;
    let max_surge = hub.backplane.as_ref().map_or(IntOrString::Int(1), |backplane| backplane.max_surge.clone());
    Ok(Deployment {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        spec: Some(DeploymentSpec {
            replicas: Some(hub.scale.initial_replicas()),
            revision_history_limit: Some(REVISION_HISTORY_LIMIT),
            selector,
            // New pods are ready before old ones end, so clients can always connect.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(max_surge),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    })
}
