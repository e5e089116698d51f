//! What a Deployment's status says about the hub. Pure.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use notification_hub_crds::condition::Reason;

use super::Verdict;

/// How far a Deployment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotDeployed,
    ScaledToZero,
    InProgress,
    Complete,
    Unavailable,
    DeadlineExceeded,
    PodsRefused,
}

/// Whether every pod is as the Deployment wants it, and no older one is left.
pub fn is_over(deployment: &Deployment) -> bool {
    matches!(Rollout::of(Some(deployment)).state, State::Complete | State::ScaledToZero)
}

/// What was read from a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rollout {
    state: State,
    wanted: i32,
    available: i32,
    detail: String,
}

impl Rollout {
    /// Reads a Deployment, which is missing while the hub could not be built.
    pub(super) fn of(deployment: Option<&Deployment>) -> Rollout {
        let Some(deployment) = deployment else {
            return Rollout { state: State::NotDeployed, wanted: 0, available: 0, detail: String::new() };
        };
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = deployment.status.clone().unwrap_or_default();
        let condition = |kind: &str| status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
        let failed = condition("ReplicaFailure").filter(|condition| condition.status == "True");
        let stuck = condition("Progressing").filter(|condition| condition.status == "False");
        let was_complete =
            condition("Progressing").is_some_and(|c| c.reason.as_deref() == Some("NewReplicaSetAvailable"));

        let seen = status.observed_generation >= deployment.metadata.generation;
        let [replicas, updated, available] =
            [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
        let settled = seen && updated == wanted && replicas == wanted;
        let (state, about) = match () {
            () if !seen => (State::InProgress, None),
            () if failed.is_some() => (State::PodsRefused, failed),
            () if settled && wanted == 0 => (State::ScaledToZero, None),
            () if settled && available >= wanted => (State::Complete, None),
            () if stuck.is_some() => (State::DeadlineExceeded, stuck),
            () if settled && was_complete => (State::Unavailable, None),
            () => (State::InProgress, None),
        };
        Rollout { state, wanted, available, detail: about.map(message).unwrap_or_default() }
    }

    pub(super) fn ready(&self) -> Verdict {
        match self.state {
            State::ScaledToZero => Verdict::new(true, Reason::ScaledToZero, "no pod is wanted"),
            State::Complete => Verdict::new(true, Reason::Available, self.count()),
            State::NotDeployed | State::InProgress => Verdict::new(false, Reason::Progressing, self.count()),
            State::Unavailable | State::DeadlineExceeded | State::PodsRefused => {
                Verdict::new(false, Reason::Unavailable, self.count())
            }
        }
    }

    pub(super) fn available(&self) -> Verdict {
        let reason = match self.state {
            State::NotDeployed => return Verdict::new(false, Reason::NotDeployed, "there is no Deployment"),
            State::ScaledToZero => return Verdict::new(false, Reason::ScaledToZero, "no pod is wanted"),
            _ if self.available >= self.wanted => return Verdict::new(true, Reason::Available, self.count()),
            State::InProgress => Reason::Progressing,
            _ => Reason::Unavailable,
        };
        Verdict::new(false, reason, self.count())
    }

    pub(super) fn progressing(&self) -> Verdict {
        match self.state {
            State::NotDeployed => Verdict::new(false, Reason::NotDeployed, "there is no Deployment"),
            State::InProgress => Verdict::new(true, Reason::Progressing, self.count()),
            State::DeadlineExceeded => Verdict::new(false, Reason::DeadlineExceeded, self.count()),
            State::PodsRefused => Verdict::new(false, Reason::PodsRefused, self.count()),
            State::ScaledToZero | State::Complete | State::Unavailable => {
                Verdict::new(false, Reason::RolloutComplete, "what is running is what the spec wants")
            }
        }
    }

    pub(super) fn degraded(&self) -> Verdict {
        match self.state {
            State::NotDeployed => Verdict::new(false, Reason::NotDeployed, "there is no Deployment"),
            State::DeadlineExceeded => Verdict::new(true, Reason::DeadlineExceeded, self.count()),
            State::PodsRefused => Verdict::new(true, Reason::PodsRefused, self.count()),
            State::Unavailable => Verdict::new(true, Reason::Unavailable, self.count()),
            State::ScaledToZero | State::InProgress | State::Complete => {
                Verdict::new(false, Reason::AsExpected, "nothing is wrong")
            }
        }
    }

    fn count(&self) -> String {
        let count = format!("{} of {} pods available", self.available, self.wanted);
        if self.detail.is_empty() { count } else { format!("{count}: {}", self.detail) }
    }
}

fn message(condition: &DeploymentCondition) -> String {
    condition.message.clone().unwrap_or_default()
}
