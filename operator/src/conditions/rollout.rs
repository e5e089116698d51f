//! Conditions of the hub that follow from its Deployment's status. No I/O.
//!
//! While pods serve, those that are missing are given time: a node that is drained, a pod that is moved and each step of an
//! autoscaler are over within it. How long they are missing the Deployment's own condition `Available` tells.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus};
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::condition::Reason;

use super::ConditionState;

/// Time for which pods may be missing before the hub is degraded.
const MISSING_PODS_GRACE_PERIOD: Duration = Duration::from_secs(300);

/// State of a Deployment's rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RolloutState {
    NotDeployed,
    ScaledToZero,
    /// The Deployment controller has not observed the last change yet.
    Unobserved,
    InProgress,
    Complete,
    /// The rollout is over, and some pods answer.
    Missing,
    /// The rollout is over, and no pod answers.
    Unavailable,
    DeadlineExceeded,
    PodsRefused,
}

/// Returns whether every pod has the desired version, and at least one is available unless none is desired.
pub fn is_rollout_over(deployment: &Deployment) -> bool {
    let rollout = Rollout::new(Some(deployment), Timestamp::MIN);
    matches!(rollout.state, RolloutState::Complete | RolloutState::ScaledToZero | RolloutState::Missing)
}

/// Returns when missing pods make the hub degraded, or `None` if no pod is missing or the time is not after `now`.
pub fn overdue_at(deployment: &Deployment, now: Timestamp) -> Option<Timestamp> {
    let since = missing_since(deployment.status.as_ref()?)?;
    Some(since + MISSING_PODS_GRACE_PERIOD).filter(|overdue| *overdue > now)
}

/// Rollout of a Deployment, as read from its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rollout {
    state: RolloutState,
    wanted: i32,
    available: i32,
    /// Whether pods are missing for too long.
    is_overdue: bool,
    /// Whether pods could not be created.
    is_refused: bool,
    detail: String,
}

impl Rollout {
    /// Reads a Deployment as it is `now`, which is missing while the hub could not be built.
    pub(super) fn new(deployment: Option<&Deployment>, now: Timestamp) -> Rollout {
        let Some(deployment) = deployment else {
            let (state, detail) = (RolloutState::NotDeployed, String::new());
            return Rollout { state, wanted: 0, available: 0, is_overdue: false, is_refused: false, detail };
        };
        let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = deployment.status.clone().unwrap_or_default();
        let failed = condition(&status, "ReplicaFailure").filter(|condition| condition.status == "True");
        let stuck = condition(&status, "Progressing").filter(|condition| condition.status == "False");
        let was_complete = condition(&status, "Progressing")
            .is_some_and(|condition| condition.reason.as_deref() == Some("NewReplicaSetAvailable"));

        let is_observed = status.observed_generation >= deployment.metadata.generation;
        let [replicas, updated, available] =
            [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
        let is_settled = updated == wanted && replicas == wanted;
        // Its number of pods may change; they are all of the version that is wanted.
        let is_steady = was_complete && updated == replicas && wanted > 0;
        let (state, about) = match () {
            () if !is_observed => (RolloutState::Unobserved, None),
            () if is_settled && wanted == 0 => (RolloutState::ScaledToZero, None),
            () if is_steady && available > 0 && available < wanted => (RolloutState::Missing, failed),
            () if failed.is_some() => (RolloutState::PodsRefused, failed),
            () if (is_settled || is_steady) && available >= wanted => (RolloutState::Complete, None),
            () if is_steady => (RolloutState::Unavailable, None),
            () if stuck.is_some() => (RolloutState::DeadlineExceeded, stuck),
            () => (RolloutState::InProgress, None),
        };
        Rollout {
            state,
            wanted,
            available,
            is_overdue: missing_since(&status).is_some_and(|since| since + MISSING_PODS_GRACE_PERIOD <= now),
            is_refused: failed.is_some(),
            detail: about.and_then(|condition| condition.message.clone()).unwrap_or_default(),
        }
    }

    /// What `Ready` says, given whether it said before that pods of this generation of the spec answer. Until then
    /// every pod counts: `kubectl wait` right behind an edit waits for all of them.
    pub(super) fn ready(&self, was_ready: bool) -> ConditionState {
        let is_settling = self.is_settling(was_ready);
        match self.state {
            RolloutState::ScaledToZero => ConditionState::new(true, Reason::ScaledToZero, "no pod is wanted"),
            RolloutState::Complete => ConditionState::new(true, Reason::Available, self.count_message()),
            RolloutState::Missing if !is_settling => ConditionState::new(true, Reason::Available, self.count_message()),
            RolloutState::Unobserved if was_ready && self.available > 0 => {
                ConditionState::new(true, Reason::Available, self.count_message())
            }
            RolloutState::DeadlineExceeded | RolloutState::PodsRefused => {
                ConditionState::new(false, Reason::Unavailable, self.count_message())
            }
            RolloutState::Unavailable if !is_settling => {
                ConditionState::new(false, Reason::Unavailable, self.count_message())
            }
            RolloutState::NotDeployed
            | RolloutState::Unobserved
            | RolloutState::InProgress
            | RolloutState::Missing
            | RolloutState::Unavailable => ConditionState::new(false, Reason::Progressing, self.count_message()),
        }
    }

    pub(super) fn available(&self) -> ConditionState {
        let reason = match self.state {
            RolloutState::NotDeployed => {
                return ConditionState::new(false, Reason::NotDeployed, "there is no Deployment");
            }
            RolloutState::ScaledToZero => return ConditionState::new(false, Reason::ScaledToZero, "no pod is wanted"),
            _ if self.available >= self.wanted => {
                return ConditionState::new(true, Reason::Available, self.count_message());
            }
            RolloutState::Unobserved | RolloutState::InProgress => Reason::Progressing,
            _ => Reason::Unavailable,
        };
        ConditionState::new(false, reason, self.count_message())
    }

    pub(super) fn progressing(&self, was_ready: bool) -> ConditionState {
        match self.state {
            RolloutState::NotDeployed => ConditionState::new(false, Reason::NotDeployed, "there is no Deployment"),
            RolloutState::Unobserved | RolloutState::InProgress => {
                ConditionState::new(true, Reason::Progressing, self.count_message())
            }
            RolloutState::Missing | RolloutState::Unavailable if self.is_settling(was_ready) => {
                ConditionState::new(true, Reason::Progressing, self.count_message())
            }
            RolloutState::DeadlineExceeded => {
                ConditionState::new(false, Reason::DeadlineExceeded, self.count_message())
            }
            RolloutState::PodsRefused => ConditionState::new(false, Reason::PodsRefused, self.count_message()),
            RolloutState::ScaledToZero | RolloutState::Complete | RolloutState::Missing | RolloutState::Unavailable => {
                ConditionState::new(false, Reason::RolloutComplete, "what is running is what the spec wants")
            }
        }
    }

    pub(super) fn degraded(&self, was_ready: bool) -> ConditionState {
        match self.state {
            RolloutState::NotDeployed => ConditionState::new(false, Reason::NotDeployed, "there is no Deployment"),
            RolloutState::DeadlineExceeded => ConditionState::new(true, Reason::DeadlineExceeded, self.count_message()),
            RolloutState::PodsRefused => ConditionState::new(true, Reason::PodsRefused, self.count_message()),
            RolloutState::Missing if self.is_refused => {
                ConditionState::new(true, Reason::PodsRefused, self.count_message())
            }
            RolloutState::Missing if self.is_overdue => {
                ConditionState::new(true, Reason::Unavailable, self.count_message())
            }
            RolloutState::Unavailable if !self.is_settling(was_ready) => {
                ConditionState::new(true, Reason::Unavailable, self.count_message())
            }
            RolloutState::ScaledToZero
            | RolloutState::Unobserved
            | RolloutState::InProgress
            | RolloutState::Complete
            | RolloutState::Missing
            | RolloutState::Unavailable => ConditionState::new(false, Reason::AsExpected, "nothing is wrong"),
        }
    }

    /// Whether pods are still to come for the first time.
    fn is_settling(&self, was_ready: bool) -> bool {
        !was_ready && !self.is_overdue && !self.is_refused
    }

    fn count_message(&self) -> String {
        let count = format!("{} of {} pods available", self.available, self.wanted);
        if self.detail.is_empty() { count } else { format!("{count}: {}", self.detail) }
    }
}

/// Since when there are fewer pods that answer than are wanted.
fn missing_since(status: &DeploymentStatus) -> Option<Timestamp> {
    let available = condition(status, "Available").filter(|condition| condition.status == "False")?;
    available.last_transition_time.as_ref().map(|time| time.0)
}

fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}
