//! Step 6: writes the status, if it differs, and publishes what has changed.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::events::{Event, EventType};
use kube::{Resource, ResourceExt};
use notification_hub_crds::NotificationHub;
use serde_json::json;

use crate::cluster::{CallError, in_time};
use crate::conditions::{self, Findings};
use crate::context::Context;

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] CallError);

impl Error {
    /// What kind of failure it was.
    pub fn category(&self) -> &'static str {
        self.0.category()
    }

    /// Whether the resource was newer than what this pass had seen: another pass is due, and nothing is wrong.
    pub fn is_stale(&self) -> bool {
        self.0.is_conflict()
    }
}

/// Writes what the status of `hub` should be, unless it is so already.
pub async fn write(
    context: &Context,
    hub: &NotificationHub,
    findings: &Findings,
    deployment: Option<&Deployment>,
) -> Result<(), Error> {
    // As the API server stores it: without fractions of a second.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    let status = conditions::status(hub, findings, deployment, now);
    if hub.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let patch = json!({
        "apiVersion": NotificationHub::api_version(&()),
        "kind": NotificationHub::kind(&()),
        "metadata": { "name": hub.name_any(), "resourceVersion": hub.resource_version() },
        "status": status,
    });
    context.cluster.apply_status(&hub.namespace().unwrap_or_default(), &hub.name_any(), &patch).await?;
    let old = hub.status.as_ref().map_or(&[][..], |status| &status.conditions);
    for transition in conditions::transitions(old, &status.conditions) {
        publish(context, hub, transition).await;
    }
    Ok(())
}

/// An Event that cannot be published is no reason to fail: the conditions tell the same.
async fn publish(context: &Context, hub: &NotificationHub, transition: conditions::Transition) {
    tracing::info!(hub = hub.name_any(), reason = transition.reason, "{}", transition.message);
    let event = Event {
        type_: if transition.is_warning { EventType::Warning } else { EventType::Normal },
        reason: transition.reason,
        note: Some(conditions::as_note(transition.message)),
        action: "Reconcile".to_owned(),
        secondary: None,
    };
    if let Err(error) = in_time(context.recorder.publish(&event, &hub.object_ref(&()))).await {
        tracing::warn!(hub = hub.name_any(), %error, "an Event could not be published");
    }
}
