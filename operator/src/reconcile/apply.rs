//! Step 4: applies the children. Never overwrites an object that the hub does not own.
//!
//! Pods run either the old configuration or the new one, whichever write fails:
//!
//! - The pod template of the Deployment has the whole configuration and the names of the Secrets. One write changes it.
//! - The Deployment is applied by a dry run first, so a refusal changes nothing.
//! - Children that are written before the Deployment do not change what existing pods read. A managed Secret keeps the
//!   keys that pods use. Children that are not desired any more are pruned after the rollout.
//! - Pods read none of the children that are written after the Deployment.
//! - Only the log level takes effect at once, without the Deployment.

mod child_writer;
mod desired_child;
mod ownership_check;

use std::collections::BTreeSet;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use notification_hub_crds::NotificationHub;

use super::change::Change;
use super::child::ChildError;
use super::prune::{self, DesiredAutoscalers};
use super::{LiveObjects, ReconcileScope, hand_over};
use crate::build::{self, DesiredObjects, KeySecret};
use crate::cluster::Cluster;
use crate::conditions::Exposure;
use crate::keys::{KeyGenerationError, KeyPair, MissingKey, NEXT_ENTRY, PRIVATE_ENTRY, RotationPlan};
use child_writer::ChildWriter;
use desired_child::DesiredChild;
use ownership_check::OwnershipCheck;

/// Result of the apply step.
#[derive(Debug)]
pub struct AppliedObjects {
    /// Live objects that the status is computed from.
    pub live: LiveObjects,
    /// Uids of all desired children.
    pub uids: BTreeSet<String>,
    /// Changes of a dry run. Outside a dry run only the deleted autoscalers.
    pub changes: Vec<Change>,
    /// Whether the Deployment waits until rollouts of other hubs are over.
    pub is_queued: bool,
}

/// Outcome of the apply step.
#[derive(Debug)]
pub enum ApplyOutcome {
    /// Every child is as desired.
    Applied(Box<AppliedObjects>),
    /// Objects that the hub does not own have the names of children. Nothing was written.
    NotOwned(Vec<String>),
    /// The API server refused the content of a child. Children before it may be written, but the Deployment only as a whole.
    /// `controller` tries again after a minute.
    Refused(String),
}

/// Checks the ownership of every child of `hub`, and then applies them.
pub async fn apply(
    scope: &ReconcileScope<'_>,
    hub: &NotificationHub,
    desired: DesiredObjects,
) -> Result<ApplyOutcome, ChildError> {
    match Box::pin(apply_all(scope, hub, desired)).await {
        Err(error) if error.is_content_rejection() => Ok(ApplyOutcome::Refused(error.to_string())),
        result => result,
    }
}

/// Checks the ownership of every child and applies them in a fixed order.
async fn apply_all(
    scope: &ReconcileScope<'_>,
    hub: &NotificationHub,
    desired: DesiredObjects,
) -> Result<ApplyOutcome, ChildError> {
    // Destructured without `..`, so that a new kind causes a compile error here.
    let DesiredObjects {
        service_account,
        config_map,
        jwt_secret,
        tokens_secret,
        public_service,
        internal_service,
        metrics_service,
        pod_disruption_budget,
        ingress,
        http_route,
        service_monitor,
        pod_monitor,
        network_policy,
        deployment,
        is_autoscaled,
        horizontal_pod_autoscaler,
        scaled_object,
    } = desired;
    let (cluster, uid) = (scope.cluster, hub.uid().unwrap_or_default());
    let mut ownership = OwnershipCheck { cluster, uid: &uid, not_owned: Vec::new(), forbidden: None };
    let service_account = ownership.check(service_account).await?;
    let config_map = ownership.check(config_map).await?;
    let (jwt_secret, pending_plan) = match jwt_secret {
        Some(KeySecret { secret, pending_plan }) => (Some(ownership.check(secret).await?), pending_plan),
        None => (None, None),
    };
    let tokens_secret = ownership.check_some(tokens_secret).await?;
    let public_service = ownership.check(public_service).await?;
    let internal_service = ownership.check_some(internal_service).await?;
    let metrics_service = ownership.check(metrics_service).await?;
    let pod_disruption_budget = ownership.check_some(pod_disruption_budget).await?;
    let ingress = ownership.check_some(ingress).await?;
    let http_route = ownership.check_third_party(http_route).await?;
    let service_monitor = ownership.check_third_party(service_monitor).await?;
    let pod_monitor = ownership.check_third_party(pod_monitor).await?;
    let network_policy = ownership.check_some(network_policy).await?;
    let mut deployment = ownership.check(deployment).await?;
    let horizontal_pod_autoscaler = ownership.check_some(horizontal_pod_autoscaler).await?;
    let scaled_object = ownership.check_third_party(scaled_object).await?;
    if !ownership.not_owned.is_empty() {
        return Ok(ApplyOutcome::NotOwned(ownership.not_owned));
    }

    // A new Deployment is created with the number of pods that it was built with.
    let is_handed_over =
        is_autoscaled && deployment.existing.as_ref().is_some_and(|existing| !hand_over::is_required(existing));
    if is_handed_over {
        hand_over::omit_replicas(&mut deployment.object);
    }
    let autoscaler = DesiredAutoscalers {
        horizontal_pod_autoscaler: horizontal_pod_autoscaler.is_some(),
        scaled_object: scaled_object.is_some(),
    };
    let name = (hub.namespace().unwrap_or_default(), hub.name_any());
    let mut writer = ChildWriter { scope, hub: name, uids: BTreeSet::new(), changes: Vec::new() };
    // If the API server refuses the Deployment, nothing is written.
    let predicted = Box::pin(writer.predict(&deployment)).await?;
    let is_queued = match predicted {
        Some(predicted) => Box::pin(writer.has_to_queue(hub, &deployment, &predicted)).await?,
        None => false,
    };
    let jwt_secret = with_generated_key(cluster, jwt_secret, pending_plan).await?;

    // Objects that pods need are written before the Deployment.
    writer.apply_child(service_account).await?;
    writer.apply_child(config_map).await?;
    writer.apply_some(jwt_secret).await?;
    writer.apply_some(tokens_secret).await?;
    writer.apply_child(public_service).await?;
    writer.apply_some(internal_service).await?;
    writer.apply_child(metrics_service).await?;
    writer.apply_some(pod_disruption_budget).await?;
    writer.apply_some(network_policy).await?;
    let deployment = if is_queued {
        Box::pin(writer.get_or_apply(deployment)).await?
    } else {
        // An old autoscaler would change the number of pods that the Deployment is about to get.
        writer.changes.extend(prune::prune_autoscalers(cluster, hub, scope.served, &autoscaler).await?);
        if is_autoscaled && !is_handed_over && deployment.existing.is_some() {
            let handed_over = hand_over::transfer_replicas(cluster, &mut deployment.object).await;
            handed_over.map_err(|source| deployment.failed(source))?;
        }
        Box::pin(writer.apply_and_get(deployment)).await?
    };
    writer.apply_some(horizontal_pod_autoscaler).await?;
    // Objects that webhooks of other projects may refuse are written last, because the hub runs without them.
    let exposure = Exposure {
        ingress: writer.apply_some_and_get(ingress).await?,
        http_route: writer.apply_some_and_get(http_route).await?,
    };
    writer.apply_some(service_monitor).await?;
    writer.apply_some(pod_monitor).await?;
    writer.apply_some(scaled_object).await?;
    if let Some(error) = ownership.forbidden {
        return Err(error);
    }
    let live = LiveObjects { deployment, exposure };
    Ok(ApplyOutcome::Applied(Box::new(AppliedObjects { live, uids: writer.uids, changes: writer.changes, is_queued })))
}

/// Returns the Secret with the key that it lacks. Generates the key on the blocking pool.
async fn with_generated_key(
    cluster: &Cluster,
    secret: Option<DesiredChild<Secret>>,
    pending_plan: Option<RotationPlan>,
) -> Result<Option<DesiredChild<Secret>>, ChildError> {
    let (mut secret, plan) = match (secret, pending_plan) {
        (Some(secret), Some(plan)) => (secret, plan),
        (secret, _) => return Ok(secret),
    };
    if cluster.is_dry_run() {
        // An empty entry stands for the key that would be generated.
        let entry = if plan.missing == Some(MissingKey::Next) { NEXT_ENTRY } else { PRIVATE_ENTRY };
        secret.object.data.get_or_insert_default().insert(entry.to_owned(), ByteString::default());
        return Ok(Some(secret));
    }
    let (object, algorithm) = (secret.object.name_any(), plan.algorithm());
    tracing::info!(secret = object, ?algorithm, "generating a key pair");
    let generated =
        tokio::task::spawn_blocking(move || KeyPair::generate(algorithm)).await.map_err(|_| KeyGenerationError)??;
    build::add_generated_key(&mut secret.object, plan, generated);
    Ok(Some(secret))
}
