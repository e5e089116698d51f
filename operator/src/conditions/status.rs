//! The whole status of a resource. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::{NotificationHubStatus, Source, SourceKind};

use super::{Findings, Rollout, conditions};
use crate::model::{CONTAINER, labels, names};

/// The status that `hub` should have, given what a pass found and its Deployment, if there is one.
pub fn status(
    hub: &NotificationHub,
    findings: &Findings,
    deployment: Option<&Deployment>,
    now: Timestamp,
) -> NotificationHubStatus {
    let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
    let generation = hub.metadata.generation.unwrap_or_default();
    let old = hub.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let source = match &hub.spec.source {
        Source { direct: Some(_), azure_queue: None } => Some(SourceKind::Direct),
        Source { direct: None, azure_queue: Some(_) } => Some(SourceKind::AzureQueue),
        _ => None,
    };
    let pods = deployment.and_then(|deployment| deployment.status.as_ref());
    NotificationHubStatus {
        observed_generation: Some(generation),
        conditions: conditions(old, generation, findings, &Rollout::of(deployment), now),
        replicas: Some(pods.and_then(|pods| pods.replicas).unwrap_or_default()),
        ready_replicas: Some(pods.and_then(|pods| pods.ready_replicas).unwrap_or_default()),
        selector: Some(labels::selector_text(&name)),
        source,
        url: Some(names::url(&name, &namespace)),
        send_url: (source == Some(SourceKind::Direct)).then(|| names::send_url(&name, &namespace)),
        image: deployment.and_then(image),
    }
}

fn image(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == CONTAINER)?.image.clone()
}
