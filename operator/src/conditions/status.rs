//! Computes the status of a resource. No I/O.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::{ConditionType, Reason};
use notification_hub_crds::v1alpha1::{KeyTimes, NotificationHubStatus, Source, SourceKind};

use super::{ConditionInputs, ConditionState, Diagnostics, Exposure, Rollout, condition, conditions, exposure};
use crate::model::{HUB_CONTAINER, labels, names};

/// Observations and results of a reconcile, from which the status is computed.
#[derive(Clone, Debug, Default)]
pub struct ObservedState {
    /// Problems that block the hub, and parts of the spec that were left out.
    pub diagnostics: Diagnostics,
    /// The Deployment, or `None` if it does not exist.
    pub deployment: Option<Deployment>,
    /// Objects that expose the hub, if the spec asks for them and they exist.
    pub exposure: Exposure,
    /// Rotation times of the generated keys, or `None` if they were not applied.
    pub keys: Option<KeyTimes>,
    /// Objects with pending changes, or `None` unless the hub is paused.
    pub pending: Option<Vec<String>>,
    /// Number of clients, or `None` if it is unknown.
    pub connections: Option<i64>,
    /// Whether the rollout waits until rollouts of other hubs are over.
    pub is_queued: bool,
}

/// Returns the status of `hub` after a failed reconcile: the previous one with another `Ready`.
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

/// Returns the status that `hub` should have.
pub fn status(hub: &NotificationHub, observed: &ObservedState, now: Timestamp) -> NotificationHubStatus {
    let ObservedState { diagnostics, deployment, exposure, keys, pending, connections, is_queued } = observed;
    let deployment = deployment.as_ref();
    let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
    let generation = hub.metadata.generation.unwrap_or_default();
    let before = hub.status.as_ref();
    let old = before.map_or(&[][..], |status| &status.conditions);
    // While a diagnostic blocks the hub, the keys are not applied and stay as they are.
    let previous_keys = before.and_then(|status| status.keys.clone()).filter(|_| hub.spec.auth.generate.is_some());
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
                diagnostics,
                pending: pending.as_deref(),
                exposed: exposure::exposed_state(hub.spec.expose.as_ref(), &diagnostics.unserved, exposure),
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
        keys: keys.clone().or(previous_keys),
        connections: if has_pods { connections.or(before.and_then(|status| status.connections)) } else { Some(0) },
    }
}

/// Returns the image of the hub's container.
fn image(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == HUB_CONTAINER)?.image.clone()
}
