//! One pass over one resource: dereference → validate → build → apply → prune → status.
//!
//! Only the first and the last three steps talk to the API server. What is wrong with a resource or with what it refers
//! to is no error but a finding: it ends in the status, and the hub's children stay as they are.

pub mod apply;
pub mod child;
pub mod dereference;
pub mod prune;
mod repair;
pub mod status;
pub mod validate;

use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::Reason;

use crate::build::build;
use crate::conditions::{self, Findings, Problem, Seen};
use crate::context::Context;
use crate::keys::Plan;
use dereference::Fetched;

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
    let fetched = dereference::dereference(&context.cluster, hub, context.clock.now()).await?;
    let (mut seen, due) = carry_out(context, hub, fetched).await?;
    if seen.deployment.is_none() {
        seen.deployment = dereference::deployment(&context.cluster, hub).await?;
    }
    status::write(context, hub, &seen).await?;
    let outcome = match seen.findings.spec.first() {
        _ if !seen.findings.are_in_the_way() => Outcome::Applied,
        Some(problem) if problem.reason == Reason::Refused => Outcome::Refused,
        _ => Outcome::Blocked,
    };
    Ok(Passed { outcome, due })
}

async fn carry_out(
    context: &Context,
    hub: &NotificationHub,
    fetched: Fetched,
) -> Result<(Seen, Option<Timestamp>), Error> {
    let only = |findings| (Seen { findings, ..Seen::default() }, None);
    let checked = match validate::validate(hub, fetched, &context.hub_image) {
        Ok(checked) => checked,
        Err(findings) => return Ok(only(findings)),
    };
    let findings = Findings { dropped: checked.dropped, ..Findings::default() };
    let desired = match build(&checked.hub) {
        Ok(desired) => desired,
        Err(problems) => {
            let problem = |message| Problem { reason: Reason::InvalidPodTemplate, message };
            return Ok(only(Findings { spec: problems.into_iter().map(problem).collect(), ..findings }));
        }
    };
    Ok(match apply::apply(&context.cluster, &checked.hub.owner.uid, desired).await.map_err(Error::Apply)? {
        apply::Verdict::Applied(applied) => {
            // What the old pods live on goes when they are gone; a rollout that is stuck can still be taken back.
            if conditions::rollout_is_over(&applied.deployment) {
                prune::prune(&context.cluster, hub, &applied.uids).await.map_err(Error::Prune)?;
            }
            let keys = checked.hub.generated.as_ref();
            let seen = Seen { findings, deployment: Some(applied.deployment), keys: keys.map(Plan::times) };
            (seen, keys.map(Plan::due))
        }
        apply::Verdict::Foreign(conflicts) => only(Findings { conflicts, ..findings }),
        apply::Verdict::Refused(message) => {
            let problem = Problem { reason: Reason::Refused, message };
            only(Findings { spec: vec![problem], ..findings })
        }
    })
}
