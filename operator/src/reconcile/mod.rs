//! Reconciles one resource once: dereference → validate → build → apply → prune → status.
//!
//! Only the first and the last three steps call the API server. A problem of a resource, or of an object that it refers
//! to, is a diagnostic and not an error. The status reports it, and the hub's children stay as they are. A paused resource
//! is reconciled by a dry run, and its status lists the pending changes.

pub mod apply;
pub mod apply_cache;
pub mod change;
pub mod child;
pub mod dereference;
mod hand_over;
pub mod prune;
mod repair;
pub mod rollout_limiter;
pub mod status;
pub mod validate;

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::{NotificationHub, PAUSED_ANNOTATION};

use crate::build::build;
use crate::cluster::Cluster;
use crate::conditions::{self, Diagnostic, Diagnostics, Exposure, ObservedState};
use crate::context::Context;
use crate::keys::RotationPlan;
use crate::model::defaults::Defaults;
use crate::third_party::ServedKinds;
use apply_cache::ApplyCache;
use change::Change;
use dereference::FetchedReferences;
use rollout_limiter::RolloutLimiter;

/// Delay before a conflicting object that the hub does not own is checked again.
const CONFLICT_RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// Error of a step. The reconcile has to be retried.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Objects that the resource refers to, or existing children, cannot be read.
    #[error("dereference: {0}")]
    Dereference(#[from] dereference::DereferenceError),
    /// Children cannot be written.
    #[error("apply: {0}")]
    Apply(#[source] child::ChildError),
    /// Children that are no longer desired cannot be deleted.
    #[error("prune: {0}")]
    Prune(#[source] child::ChildError),
    /// The status cannot be written.
    #[error("status: {0}")]
    Status(#[from] status::StatusError),
}

impl ReconcileError {
    /// Returns the name of the step, for metrics.
    pub fn step(&self) -> &'static str {
        match self {
            ReconcileError::Dereference(_) => "dereference",
            ReconcileError::Apply(_) => "apply",
            ReconcileError::Prune(_) => "prune",
            ReconcileError::Status(_) => "status",
        }
    }

    /// Returns the category of the failure, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            ReconcileError::Dereference(error) => error.category(),
            ReconcileError::Apply(error) | ReconcileError::Prune(error) => error.category(),
            ReconcileError::Status(error) => error.category(),
        }
    }

    /// Returns whether the failure is likely to end without intervention.
    pub fn is_transient(&self) -> bool {
        const TRANSIENT: [&str; 6] = ["timeout", "conflict", "throttled", "server", "transport", "not_leading"];
        TRANSIENT.contains(&self.category())
    }
}

/// Outcome of a reconcile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileOutcome {
    /// The children are as desired.
    Applied,
    /// A problem blocks the hub. The status reports it.
    Blocked,
    /// The API server refused a child. The reason may end without a change of a watched object.
    Rejected,
    /// The resource is paused: nothing was changed.
    Paused,
}

impl ReconcileOutcome {
    /// Returns the value of the label `outcome` of the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ReconcileOutcome::Applied => "applied",
            ReconcileOutcome::Blocked => "blocked",
            ReconcileOutcome::Rejected => "rejected",
            ReconcileOutcome::Paused => "paused",
        }
    }
}

/// Result of a completed reconcile.
#[derive(Clone, Copy, Debug)]
pub struct ReconcileReport {
    /// The outcome.
    pub outcome: ReconcileOutcome,
    /// When the next reconcile is due without a change, or `None`.
    pub due: Option<Timestamp>,
}

/// Reconciles `hub` once, and writes its status.
pub async fn reconcile(context: &Context, hub: &NotificationHub) -> Result<ReconcileReport, ReconcileError> {
    let now = context.clock.now();
    let fetched = dereference::dereference(&context.cluster, hub, now).await?;
    let is_paused = hub.annotations().get(PAUSED_ANNOTATION).is_some_and(|value| value == "true");
    let cluster = if is_paused { context.cluster.dry_run() } else { context.cluster.clone() };
    let served = context.served.borrow().clone();
    let Context { defaults, apply_cache, rollout_limiter, .. } = context;
    let scope = ReconcileScope { cluster: &cluster, defaults, served: &served, apply_cache, rollout_limiter };
    let spec_outcome = Box::pin(apply_spec(&scope, hub, fetched)).await?;
    let SpecOutcome { diagnostics, applied, changes, keys, is_queued } = spec_outcome;
    let pending = is_paused.then(|| changes.into_iter().map(|change| change.object).collect());
    let rotation_step = keys.as_ref().map(RotationPlan::due).filter(|_| !is_paused);
    // A dry run returns objects as they would be, not as they are.
    let applied = applied.filter(|_| !is_paused);
    let keys = keys.as_ref().map(RotationPlan::times).filter(|_| !is_paused);
    let connections = context.connections.get(hub);
    let (deployment, exposure) = match applied {
        Some(LiveObjects { deployment, exposure }) => (Some(deployment), exposure),
        None => {
            let deployment = dereference::deployment(&context.cluster, hub).await?;
            (deployment, dereference::exposure(&context.cluster, hub, &diagnostics.unserved).await?)
        }
    };
    let overdue = deployment.as_ref().and_then(|deployment| conditions::overdue_at(deployment, now));
    let queue_retry = is_queued.then(|| now + rollout_limiter::RETRY_INTERVAL);
    // Objects that the hub does not own are not watched.
    let conflict_retry = (!diagnostics.conflicts.is_empty()).then(|| now + CONFLICT_RETRY_INTERVAL);
    let due = [rotation_step, overdue, queue_retry, conflict_retry].into_iter().flatten().min();
    let observed = ObservedState { diagnostics, deployment, exposure, keys, pending, connections, is_queued };
    status::write(context, hub, &observed).await?;
    let outcome = match observed.diagnostics.spec.first() {
        _ if observed.pending.is_some() => ReconcileOutcome::Paused,
        _ if !observed.diagnostics.is_blocking() => ReconcileOutcome::Applied,
        Some(diagnostic) if diagnostic.reason == Reason::ChildRejected => ReconcileOutcome::Rejected,
        _ => ReconcileOutcome::Blocked,
    };
    Ok(ReconcileReport { outcome, due })
}

/// Inputs of applying a spec that do not depend on the hub.
pub struct ReconcileScope<'a> {
    /// The API server.
    pub cluster: &'a Cluster,
    /// Defaults of every hub, from the configuration.
    pub defaults: &'a Defaults,
    /// Third-party kinds that the API server serves.
    pub served: &'a ServedKinds,
    /// Children that need no write.
    pub apply_cache: &'a ApplyCache,
    /// Limit of concurrent rollouts.
    pub rollout_limiter: &'a RolloutLimiter,
}

/// Outcome of applying a spec.
#[derive(Debug, Default)]
pub struct SpecOutcome {
    /// Problems that block the hub, and parts of the spec that were left out.
    pub diagnostics: Diagnostics,
    /// Live objects, or `None` unless every child was applied.
    pub applied: Option<LiveObjects>,
    /// The deleted objects. In a dry run all pending changes.
    pub changes: Vec<Change>,
    /// Plan of the generated keys, or `None` if there are none.
    pub keys: Option<RotationPlan>,
    /// Whether the Deployment waits until rollouts of other hubs are over.
    pub is_queued: bool,
}

/// Live objects that the status is computed from.
#[derive(Debug)]
pub struct LiveObjects {
    /// The Deployment.
    pub deployment: Deployment,
    /// Objects that expose the hub, if the spec asks for any.
    pub exposure: Exposure,
}

/// Runs the steps validate, build, apply and prune.
pub async fn apply_spec(
    scope: &ReconcileScope<'_>,
    hub: &NotificationHub,
    fetched: FetchedReferences,
) -> Result<SpecOutcome, ReconcileError> {
    let ReconcileScope { cluster, defaults, served, .. } = scope;
    let not_applied = |diagnostics| SpecOutcome { diagnostics, ..SpecOutcome::default() };
    let validation = match validate::validate(hub, fetched, defaults, served) {
        Ok(validation) => validation,
        Err(diagnostics) => return Ok(not_applied(diagnostics)),
    };
    let diagnostics = validation.diagnostics;
    let desired = match build(&validation.hub) {
        Ok(desired) => desired,
        Err(errors) => {
            let diagnostic = |message| Diagnostic { reason: Reason::InvalidPodTemplate, message };
            return Ok(not_applied(Diagnostics { spec: errors.into_iter().map(diagnostic).collect(), ..diagnostics }));
        }
    };
    Ok(match apply::apply(scope, hub, desired).await.map_err(ReconcileError::Apply)? {
        apply::ApplyOutcome::Applied(applied) => {
            let apply::AppliedObjects { live, uids, mut changes, is_queued } = *applied;
            // Objects that the old pods need are pruned after the rollout, so that a stuck one can still be reverted.
            let is_over = !is_queued && conditions::is_rollout_over(&live.deployment);
            if cluster.is_dry_run() || is_over {
                changes.extend(prune::prune(cluster, hub, served, &uids).await.map_err(ReconcileError::Prune)?);
            }
            if is_over {
                scope.rollout_limiter.finish(&validation.hub.owner.uid);
            }
            SpecOutcome { diagnostics, applied: Some(live), changes, keys: validation.hub.generated, is_queued }
        }
        apply::ApplyOutcome::NotOwned(conflicts) => not_applied(Diagnostics { conflicts, ..diagnostics }),
        apply::ApplyOutcome::Refused(message) => {
            let diagnostic = Diagnostic { reason: Reason::ChildRejected, message };
            not_applied(Diagnostics { spec: vec![diagnostic], ..diagnostics })
        }
    })
}
