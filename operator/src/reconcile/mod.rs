//! One pass over one resource: dereference → validate → build → apply → prune → status.
//!
//! Only the first and the last three steps talk to the API server. What is wrong with a resource or with what it refers
//! to is no error but a finding: it ends in the status, and the hub's children stay as they are. A pass over a paused
//! resource is a rehearsal: the API server tells what would change, and the status tells of it.

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
use crate::conditions::{self, Exposure, Findings, ObservedState, Problem};
use crate::context::Context;
use crate::keys::RotationPlan;
use crate::model::defaults::Defaults;
use crate::third_party::ServedKinds;
use apply_cache::ApplyCache;
use change::Change;
use dereference::FetchedReferences;
use rollout_limiter::RolloutLimiter;

/// The pause before a foreign object that is in the way is looked for again.
const CONFLICT_RETRY: Duration = Duration::from_secs(30);

/// A step failed and has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Reading what the resource refers to.
    #[error("dereference: {0}")]
    Dereference(#[from] dereference::DereferenceError),
    /// Writing the children.
    #[error("apply: {0}")]
    Apply(#[source] child::ChildError),
    /// Deleting children that are not wanted any more.
    #[error("prune: {0}")]
    Prune(#[source] child::ChildError),
    /// Writing the status.
    #[error("status: {0}")]
    Status(#[from] status::StatusError),
}

impl ReconcileError {
    /// The step, for metrics.
    pub fn step(&self) -> &'static str {
        match self {
            ReconcileError::Dereference(_) => "dereference",
            ReconcileError::Apply(_) => "apply",
            ReconcileError::Prune(_) => "prune",
            ReconcileError::Status(_) => "status",
        }
    }

    /// What kind of failure it was, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            ReconcileError::Dereference(error) => error.category(),
            ReconcileError::Apply(error) | ReconcileError::Prune(error) => error.category(),
            ReconcileError::Status(error) => error.category(),
        }
    }

    /// Whether it is likely to be over without anybody doing anything.
    pub fn is_transient(&self) -> bool {
        const TRANSIENT: [&str; 6] = ["timeout", "conflict", "throttled", "server", "transport", "not_leading"];
        TRANSIENT.contains(&self.category())
    }
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconcileOutcome {
    /// The children are as they should be.
    Applied,
    /// Something is in the way, and reported in the status.
    Blocked,
    /// The API server refused a child: what it minds may go away without any change that is watched.
    Refused,
    /// The resource is paused: nothing was changed.
    Paused,
}

impl ReconcileOutcome {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            ReconcileOutcome::Applied => "applied",
            ReconcileOutcome::Blocked => "blocked",
            ReconcileOutcome::Refused => "refused",
            ReconcileOutcome::Paused => "paused",
        }
    }
}

/// What is to be known of a pass that is over.
#[derive(Clone, Copy, Debug)]
pub struct ReconcileReport {
    /// How it ended.
    pub outcome: ReconcileOutcome,
    /// When another one is due, though nothing may have changed by then.
    pub due: Option<Timestamp>,
}

/// Brings the cluster one step closer to what `hub` asks for.
pub async fn reconcile(context: &Context, hub: &NotificationHub) -> Result<ReconcileReport, ReconcileError> {
    let now = context.clock.now();
    let fetched = dereference::dereference(&context.cluster, hub, now).await?;
    let is_paused = hub.annotations().get(PAUSED_ANNOTATION).is_some_and(|value| value == "true");
    let cluster = if is_paused { context.cluster.dry_run() } else { context.cluster.clone() };
    let served = context.served.borrow().clone();
    let Context { defaults, apply_cache, rollout_limiter, .. } = context;
    let scope = ReconcileScope { cluster: &cluster, defaults, served: &served, apply_cache, rollout_limiter };
    let spec_outcome = Box::pin(apply_spec(&scope, hub, fetched)).await?;
    let SpecOutcome { findings, applied, changes, keys, is_queued } = spec_outcome;
    let pending = is_paused.then(|| changes.into_iter().map(|change| change.object).collect());
    let next_key = keys.as_ref().map(RotationPlan::due).filter(|_| !is_paused);
    // What a rehearsal tells of them is what they would be.
    let applied = applied.filter(|_| !is_paused);
    let keys = keys.as_ref().map(RotationPlan::times).filter(|_| !is_paused);
    let connections = context.connections.get(hub);
    let (deployment, exposure) = match applied {
        Some(LiveObjects { deployment, exposure }) => (Some(deployment), exposure),
        None => {
            let deployment = dereference::deployment(&context.cluster, hub).await?;
            (deployment, dereference::exposure(&context.cluster, hub, &findings.unserved).await?)
        }
    };
    let overdue = deployment.as_ref().and_then(|deployment| conditions::overdue_at(deployment, now));
    let retried = is_queued.then(|| now + rollout_limiter::RETRY_INTERVAL);
    // Objects of others are not watched.
    let looked_for = (!findings.conflicts.is_empty()).then(|| now + CONFLICT_RETRY);
    let due = [next_key, overdue, retried, looked_for].into_iter().flatten().min();
    let observed = ObservedState { findings, deployment, exposure, keys, pending, connections, is_queued };
    status::write(context, hub, &observed).await?;
    let outcome = match observed.findings.spec.first() {
        _ if observed.pending.is_some() => ReconcileOutcome::Paused,
        _ if !observed.findings.is_blocking() => ReconcileOutcome::Applied,
        Some(problem) if problem.reason == Reason::Refused => ReconcileOutcome::Refused,
        _ => ReconcileOutcome::Blocked,
    };
    Ok(ReconcileReport { outcome, due })
}

/// What a pass over a spec works with.
pub struct ReconcileScope<'a> {
    /// The API server.
    pub cluster: &'a Cluster,
    /// What the configuration says of every hub.
    pub defaults: &'a Defaults,
    /// Which optional kinds the cluster knows.
    pub served: &'a ServedKinds,
    /// What needs no write.
    pub apply_cache: &'a ApplyCache,
    /// How many rollouts may begin.
    pub rollout_limiter: &'a RolloutLimiter,
}

/// What came of a spec.
#[derive(Debug, Default)]
pub struct SpecOutcome {
    /// What is in the way, or was left out.
    pub findings: Findings,
    /// What was applied.
    pub applied: Option<LiveObjects>,
    /// What was deleted; in a rehearsal all that would have been changed.
    pub changes: Vec<Change>,
    /// What became of the generated keys.
    pub keys: Option<RotationPlan>,
    /// Whether the Deployment has to wait until rollouts of other hubs are over.
    pub is_queued: bool,
}

/// What the status tells of, as it was applied.
#[derive(Debug)]
pub struct LiveObjects {
    /// The Deployment.
    pub deployment: Deployment,
    /// The ways from outside, if any are asked for.
    pub exposure: Exposure,
}

/// Validates, builds, applies and prunes.
pub async fn apply_spec(
    scope: &ReconcileScope<'_>,
    hub: &NotificationHub,
    fetched: FetchedReferences,
) -> Result<SpecOutcome, ReconcileError> {
    let ReconcileScope { cluster, defaults, served, .. } = scope;
    let only = |findings| SpecOutcome { findings, ..SpecOutcome::default() };
    let validation = match validate::validate(hub, fetched, defaults, served) {
        Ok(validation) => validation,
        Err(findings) => return Ok(only(findings)),
    };
    let findings = validation.findings;
    let desired = match build(&validation.hub) {
        Ok(desired) => desired,
        Err(problems) => {
            let problem = |message| Problem { reason: Reason::InvalidPodTemplate, message };
            return Ok(only(Findings { spec: problems.into_iter().map(problem).collect(), ..findings }));
        }
    };
    Ok(match apply::apply(scope, hub, desired).await.map_err(ReconcileError::Apply)? {
        apply::ApplyOutcome::Applied(applied) => {
            let apply::AppliedObjects { live, uids, mut changes, is_queued } = *applied;
            // What the old pods live on goes when they are gone; a rollout that is stuck can still be taken back.
            let is_over = !is_queued && conditions::is_rollout_over(&live.deployment);
            if cluster.is_dry_run() || is_over {
                changes.extend(prune::prune(cluster, hub, served, &uids).await.map_err(ReconcileError::Prune)?);
            }
            if is_over {
                scope.rollout_limiter.finish(&validation.hub.owner.uid);
            }
            SpecOutcome { findings, applied: Some(live), changes, keys: validation.hub.generated, is_queued }
        }
        apply::ApplyOutcome::NotOwned(conflicts) => only(Findings { conflicts, ..findings }),
        apply::ApplyOutcome::Refused(message) => {
            let problem = Problem { reason: Reason::Refused, message };
            only(Findings { spec: vec![problem], ..findings })
        }
    })
}
