//! Step 6: writes the status if it has changed, and publishes Events for changed conditions.

use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::NotificationHubStatus;
use serde_json::{Value, json};

use crate::cluster::{CallError, Cluster};
use crate::conditions::{self, ObservedState};
use crate::context::Context;
use crate::schema;

/// Error of writing the status.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StatusError(#[from] CallError);

impl StatusError {
    /// Returns the category of the error, for the label of a metric.
    pub fn category(&self) -> &'static str {
        self.0.category()
    }

    /// Returns whether the resource has changed since this reconcile read it. Then another reconcile follows.
    pub fn is_stale(&self) -> bool {
        self.0.is_conflict()
    }
}

/// Writes the status of `hub`, unless it is up to date.
pub async fn write(context: &Context, hub: &NotificationHub, observed: &ObservedState) -> Result<(), StatusError> {
    write_status(context, hub, conditions::status(hub, observed, context.clock.now())).await
}

/// Writes the failure of a reconcile into the status of `hub`. Logs a failure of this write.
pub async fn write_failure(context: &Context, hub: &NotificationHub, failure: &super::ReconcileError) {
    let status = conditions::failed_status(hub, failure.to_string(), context.clock.now());
    if let Err(error) = write_status(context, hub, status).await {
        tracing::warn!(hub = hub.name_any(), namespace = hub.namespace(), %error, "cannot write the status");
    }
}

/// Writes a status unless it is unchanged, and publishes Events for its changes.
async fn write_status(
    context: &Context,
    hub: &NotificationHub,
    status: NotificationHubStatus,
) -> Result<(), StatusError> {
    context.metrics.set_conditions(&hub.namespace().unwrap_or_default(), &hub.name_any(), &status.conditions);
    if hub.status.as_ref() == Some(&status) {
        return Ok(());
    }
    let patch = json!({
        "apiVersion": NotificationHub::api_version(&()),
        "kind": NotificationHub::kind(&()),
        "metadata": { "name": hub.name_any(), "resourceVersion": hub.resource_version() },
        "status": status,
    });
    apply(&context.cluster, hub, patch).await?;
    let old = hub.status.as_ref().map_or(&[][..], |status| &status.conditions);
    for transition in conditions::transitions(old, &status.conditions) {
        publish(context, hub, transition).await;
    }
    Ok(())
}

/// Applies a status, without the fields that the installed CRD lacks: it may be older than this operator.
async fn apply(cluster: &Cluster, hub: &NotificationHub, mut patch: Value) -> Result<(), CallError> {
    let (name, namespace) = (hub.name_any(), hub.namespace().unwrap_or_default());
    match cluster.apply_status(&namespace, &name, &patch).await {
        Err(error) if error.is_undeclared_field() => {
            let served = cluster.served_schema().await?.unwrap_or_default();
            schema::retain_known_fields(&mut patch["status"], &served["properties"]["status"]);
            cluster.apply_status(&namespace, &name, &patch).await.map(drop)
        }
        result => result.map(drop),
    }
}

/// Publishes a change of a condition as an Event and logs it.
async fn publish(context: &Context, hub: &NotificationHub, transition: conditions::Transition) {
    tracing::info!(
        hub = hub.name_any(),
        namespace = hub.namespace(),
        reason = transition.reason,
        detail = transition.message,
        "condition changed"
    );
    let type_ = if transition.is_warning { EventType::Warning } else { EventType::Normal };
    context.publish(&hub.object_ref(&()), type_, "Reconcile", transition.reason, transition.message).await;
}
