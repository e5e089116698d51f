//! The whole status of a resource. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::{ConditionType, Reason};
use notification_hub_crds::v1alpha1::{KeyTimes, NotificationHubStatus, Source, SourceKind};

use super::{ConditionInputs, ConditionState, Exposure, Findings, Rollout, condition, conditions, exposure};
use crate::model::{CONTAINER, labels, names};

/// What a pass has seen and done.
#[derive(Clone, Debug, Default)]
pub struct ObservedState {
    /// What is in the way, or was left out.
    pub findings: Findings,
    /// The Deployment, if there is one.
    pub deployment: Option<Deployment>,
    /// The ways from outside, as far as they are asked for and there.
    pub exposure: Exposure,
    /// The times of the generated key, if it was written or needed no writing.
    pub keys: Option<KeyTimes>,
    /// The objects that are waiting for a change. Only of a paused hub.
    pub pending: Option<Vec<String>>,
    /// How many clients there are, if that was asked.
    pub connections: Option<i64>,
    /// Whether a rollout has to wait until those of other hubs are over.
    pub is_queued: bool,
}

/// The status of `hub` after a pass that failed: what it said, but for whether the hub is ready.
pub fn failed_status(hub: &NotificationHub, failure: String, now: Timestamp) -> NotificationHubStatus {
    let generation = hub.metadata.generation.unwrap_or_default();
    let mut status = hub.status.clone().unwrap_or_default();
    let state = ConditionState::new(false, Reason::ReconcileError, failure);
    let ready = condition(&status.conditions, generation, ConditionType::Ready, state, now);
    status.conditions.retain(|condition| condition.type_ != ready.type_);
    status.conditions.insert(0, ready);
    status.observed_generation = Some(generation);
    status
}

/// The status that `hub` should have.
pub fn status(hub: &NotificationHub, observed: &ObservedState, now: Timestamp) -> NotificationHubStatus {
    let ObservedState { findings, deployment, exposure, keys, pending, connections, is_queued } = observed;
    let deployment = deployment.as_ref();
    let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
    let generation = hub.metadata.generation.unwrap_or_default();
    let before = hub.status.as_ref();
    let old = before.map_or(&[][..], |status| &status.conditions);
    // While something is in the way, the keys stay as they are.
    let kept = before.and_then(|status| status.keys.clone()).filter(|_| hub.spec.auth.generate.is_some());
    let source = match &hub.spec.source {
        Source { direct: Some(_), azure_queue: None } => Some(SourceKind::Direct),
        Source { direct: None, azure_queue: Some(_) } => Some(SourceKind::AzureQueue),
        _ => None,
    };
    let pods = deployment.and_then(|deployment| deployment.status.as_ref());
    let has_pods = pods.is_some_and(|pods| pods.replicas.is_some_and(|replicas| replicas > 0));
    NotificationHubStatus {
        observed_generation: Some(generation),
        conditions: conditions(
            old,
            generation,
            &ConditionInputs {
                findings,
                pending: pending.as_deref(),
                exposed: exposure::exposed_state(hub.spec.expose.as_ref(), &findings.unserved, exposure),
                rollout: Rollout::new(deployment, now),
                is_queued: *is_queued,
            },
            now,
        ),
        replicas: Some(pods.and_then(|pods| pods.replicas).unwrap_or_default()),
        ready_replicas: Some(pods.and_then(|pods| pods.ready_replicas).unwrap_or_default()),
        selector: Some(labels::selector_text(&name)),
        source,
        url: Some(names::url(&name, &namespace)),
        send_url: (source == Some(SourceKind::Direct)).then(|| names::send_url(&name, &namespace)),
        image: deployment.and_then(image),
        keys: keys.clone().or(kept),
        connections: if has_pods { connections.or(before.and_then(|status| status.connections)) } else { Some(0) },
    }
}

fn image(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == CONTAINER)?.image.clone()
}
