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
use crate::conditions::{self, Exposure, Findings, Problem, Seen};
use crate::context::Context;
use crate::keys::Plan;
use crate::model::defaults::Defaults;
use crate::third_party::ServedKinds;
use apply_cache::ApplyCache;
use change::Change;
use dereference::Fetched;
use rollout_limiter::RolloutLimiter;

/// The pause before a foreign object that is in the way is looked for again.
const CONFLICT_RETRY: Duration = Duration::from_secs(30);

/// A step failed and has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading what the resource refers to.
    #[error("dereference: {0}")]
    Dereference(#[from] dereference::Error),
    /// Writing the children.
    #[error("apply: {0}")]
    Apply(#[source] child::Error),
    /// Deleting children that are not wanted any more.
    #[error("prune: {0}")]
    Prune(#[source] child::Error),
    /// Writing the status.
    #[error("status: {0}")]
    Status(#[from] status::Error),
}

impl Error {
    /// The step, for metrics.
    pub fn step(&self) -> &'static str {
        match self {
            Error::Dereference(_) => "dereference",
            Error::Apply(_) => "apply",
            Error::Prune(_) => "prune",
            Error::Status(_) => "status",
        }
    }

    /// What kind of failure it was, for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Error::Dereference(error) => error.category(),
            Error::Apply(error) | Error::Prune(error) => error.category(),
            Error::Status(error) => error.category(),
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
pub enum Outcome {
    /// The children are as they should be.
    Applied,
    /// Something is in the way, and reported in the status.
    Blocked,
    /// The API server refused a child: what it minds may go away without any change that is watched.
    Refused,
    /// The resource is paused: nothing was changed.
    Paused,
}

impl Outcome {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Blocked => "blocked",
            Outcome::Refused => "refused",
            Outcome::Paused => "paused",
        }
    }
}

/// What is to be known of a pass that is over.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// How it ended.
    pub outcome: Outcome,
    /// When another one is due, though nothing may have changed by then.
    pub due: Option<Timestamp>,
}

/// Brings the cluster one step closer to what `hub` asks for.
pub async fn reconcile(context: &Context, hub: &NotificationHub) -> Result<Passed, Error> {
    let now = context.clock.now();
    let fetched = dereference::dereference(&context.cluster, hub, now).await?;
    let is_paused = hub.annotations().get(PAUSED_ANNOTATION).is_some_and(|value| value == "true");
    let cluster = if is_paused { context.cluster.dry_run() } else { context.cluster.clone() };
    let served = context.served.borrow().clone();
    let Context { defaults, applied, rollout_limiter, .. } = context;
    let scope = Scope { cluster: &cluster, defaults, served: &served, applied, rollout_limiter };
    let carried_out = Box::pin(carry_out(&scope, hub, fetched)).await?;
    let CarriedOut { findings, applied, changes, keys, is_queued } = carried_out;
    let pending = is_paused.then(|| changes.into_iter().map(|change| change.object).collect());
    let next_key = keys.as_ref().map(Plan::due).filter(|_| !is_paused);
    // What a rehearsal tells of them is what they would be.
    let applied = applied.filter(|_| !is_paused);
    let keys = keys.as_ref().map(Plan::times).filter(|_| !is_paused);
    let connections = context.connections.of(hub);
    let (deployment, exposure) = match applied {
        Some(Live { deployment, exposure }) => (Some(deployment), exposure),
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
    let seen = Seen { findings, deployment, exposure, keys, pending, connections, is_queued };
    status::write(context, hub, &seen).await?;
    let outcome = match seen.findings.spec.first() {
        _ if seen.pending.is_some() => Outcome::Paused,
        _ if !seen.findings.are_in_the_way() => Outcome::Applied,
        Some(problem) if problem.reason == Reason::Refused => Outcome::Refused,
        _ => Outcome::Blocked,
    };
    Ok(Passed { outcome, due })
}

/// What a pass over a spec works with.
pub struct Scope<'a> {
    /// The API server.
    pub cluster: &'a Cluster,
    /// What the configuration says of every hub.
    pub defaults: &'a Defaults,
    /// Which optional kinds the cluster knows.
    pub served: &'a ServedKinds,
    /// What needs no write.
    pub applied: &'a ApplyCache,
    /// How many rollouts may begin.
    pub rollout_limiter: &'a RolloutLimiter,
}

/// What came of a spec.
#[derive(Debug, Default)]
pub struct CarriedOut {
    /// What is in the way, or was left out.
    pub findings: Findings,
    /// What was applied.
    pub applied: Option<Live>,
    /// What was deleted; in a rehearsal all that would have been changed.
    pub changes: Vec<Change>,
    /// What became of the generated keys.
    pub keys: Option<Plan>,
    /// Whether the Deployment has to wait until rollouts of other hubs are over.
    pub is_queued: bool,
}

/// What the status tells of, as it was applied.
#[derive(Debug)]
pub struct Live {
    /// The Deployment.
    pub deployment: Deployment,
    /// The ways from outside, if any are asked for.
    pub exposure: Exposure,
}

/// Validates, builds, applies and prunes.
pub async fn carry_out(scope: &Scope<'_>, hub: &NotificationHub, fetched: Fetched) -> Result<CarriedOut, Error> {
    let Scope { cluster, defaults, served, .. } = scope;
    let only = |findings| CarriedOut { findings, ..CarriedOut::default() };
    let checked = match validate::validate(hub, fetched, defaults, served) {
        Ok(checked) => checked,
        Err(findings) => return Ok(only(findings)),
    };
    let findings = checked.findings;
    let desired = match build(&checked.hub) {
        Ok(desired) => desired,
        Err(problems) => {
            let problem = |message| Problem { reason: Reason::InvalidPodTemplate, message };
            return Ok(only(Findings { spec: problems.into_iter().map(problem).collect(), ..findings }));
        }
    };
    Ok(match apply::apply(scope, hub, desired).await.map_err(Error::Apply)? {
        apply::Verdict::Applied(applied) => {
            let apply::Applied { live, uids, mut changes, is_queued } = *applied;
            // What the old pods live on goes when they are gone; a rollout that is stuck can still be taken back.
            let is_over = !is_queued && conditions::rollout_is_over(&live.deployment);
            if cluster.is_dry_run() || is_over {
                changes.extend(prune::prune(cluster, hub, served, &uids).await.map_err(Error::Prune)?);
            }
            if is_over {
                scope.rollout_limiter.finish(&checked.hub.owner.uid);
            }
            CarriedOut { findings, applied: Some(live), changes, keys: checked.hub.generated, is_queued }
        }
        apply::Verdict::Foreign(conflicts) => only(Findings { conflicts, ..findings }),
        apply::Verdict::Refused(message) => {
            let problem = Problem { reason: Reason::Refused, message };
            only(Findings { spec: vec![problem], ..findings })
        }
    })
}
