//! Conditions of the hub that follow from its Deployment's status. No I/O.
//!
//! While some pods are available, missing pods make the hub degraded only after a grace period. A node drain, a moved pod
//! and a step of an autoscaler end within it. The Deployment's condition `Available` has the time since pods are missing.

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
    /// The rollout is over, and some pods are available.
    Missing,
    /// The rollout is over, and no pod is available.
    Unavailable,
    ProgressDeadlineExceeded,
    FailedCreate,
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
    desired: i32,
    available: i32,
    /// Whether pods are missing for longer than the grace period.
    is_overdue: bool,
    /// Whether the API server refused pods.
    is_refused: bool,
    /// Message of the Deployment's condition that explains the state, or an empty text.
    detail: String,
}

impl Rollout {
    /// Reads the status of a Deployment at `now`. `None` means that the Deployment does not exist.
    pub(super) fn new(deployment: Option<&Deployment>, now: Timestamp) -> Rollout {
        let Some(deployment) = deployment else {
            let (state, detail) = (RolloutState::NotDeployed, String::new());
            return Rollout { state, desired: 0, available: 0, is_overdue: false, is_refused: false, detail };
        };
        let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = deployment.status.clone().unwrap_or_default();
        let failed = condition(&status, "ReplicaFailure").filter(|condition| condition.status == "True");
        let stuck = condition(&status, "Progressing").filter(|condition| condition.status == "False");
        let was_complete = condition(&status, "Progressing")
            .is_some_and(|condition| condition.reason.as_deref() == Some("NewReplicaSetAvailable"));

        let is_observed = status.observed_generation >= deployment.metadata.generation;
        let [replicas, updated, available] =
            [status.replicas, status.updated_replicas, status.available_replicas].map(Option::unwrap_or_default);
        let is_settled = updated == desired && replicas == desired;
        // All pods have the desired version, and only their number may change.
        let is_steady = was_complete && updated == replicas && desired > 0;
        let (state, explanation) = match () {
            () if !is_observed => (RolloutState::Unobserved, None),
            () if is_settled && desired == 0 => (RolloutState::ScaledToZero, None),
            () if is_steady && available > 0 && available < desired => (RolloutState::Missing, failed),
            () if failed.is_some() => (RolloutState::FailedCreate, failed),
            () if (is_settled || is_steady) && available >= desired => (RolloutState::Complete, None),
            () if is_steady => (RolloutState::Unavailable, None),
            () if stuck.is_some() => (RolloutState::ProgressDeadlineExceeded, stuck),
            () => (RolloutState::InProgress, None),
        };
        Rollout {
            state,
            desired,
            available,
            is_overdue: missing_since(&status).is_some_and(|since| since + MISSING_PODS_GRACE_PERIOD <= now),
            is_refused: failed.is_some(),
            detail: explanation.and_then(|condition| condition.message.clone()).unwrap_or_default(),
        }
    }

    /// Returns the state of `Ready`. `was_ready` is whether `Ready` was already true for this generation of the spec.
    /// Until then every pod must be available, so that `kubectl wait` after an edit waits for all of them.
    pub(super) fn ready(&self, was_ready: bool) -> ConditionState {
        let is_settling = self.is_settling(was_ready);
        match self.state {
            RolloutState::ScaledToZero => {
                ConditionState::new(true, Reason::ScaledToZero, "the desired number of pods is 0")
            }
            RolloutState::Complete => ConditionState::new(true, Reason::Available, self.count_message()),
            RolloutState::Missing if !is_settling => ConditionState::new(true, Reason::Available, self.count_message()),
            RolloutState::Unobserved if was_ready && self.available > 0 => {
                ConditionState::new(true, Reason::Available, self.count_message())
            }
            RolloutState::ProgressDeadlineExceeded | RolloutState::FailedCreate => {
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

    /// Returns the state of `Available`.
    pub(super) fn available(&self) -> ConditionState {
        let reason = match self.state {
            RolloutState::NotDeployed => {
                return ConditionState::new(false, Reason::NotDeployed, "the Deployment does not exist");
            }
            RolloutState::ScaledToZero => {
                return ConditionState::new(false, Reason::ScaledToZero, "the desired number of pods is 0");
            }
            _ if self.available >= self.desired => {
                return ConditionState::new(true, Reason::Available, self.count_message());
            }
            RolloutState::Unobserved | RolloutState::InProgress => Reason::Progressing,
            _ => Reason::Unavailable,
        };
        ConditionState::new(false, reason, self.count_message())
    }

    /// Returns the state of `Progressing`.
    pub(super) fn progressing(&self, was_ready: bool) -> ConditionState {
        match self.state {
            RolloutState::NotDeployed => {
                ConditionState::new(false, Reason::NotDeployed, "the Deployment does not exist")
            }
            RolloutState::Unobserved | RolloutState::InProgress => {
                ConditionState::new(true, Reason::Progressing, self.count_message())
            }
            RolloutState::Missing | RolloutState::Unavailable if self.is_settling(was_ready) => {
                ConditionState::new(true, Reason::Progressing, self.count_message())
            }
            RolloutState::ProgressDeadlineExceeded => {
                ConditionState::new(false, Reason::ProgressDeadlineExceeded, self.count_message())
            }
            RolloutState::FailedCreate => ConditionState::new(false, Reason::FailedCreate, self.count_message()),
            RolloutState::ScaledToZero | RolloutState::Complete | RolloutState::Missing | RolloutState::Unavailable => {
                ConditionState::new(false, Reason::RolloutComplete, "every pod has the desired version")
            }
        }
    }

    /// Returns the state of `Degraded`.
    pub(super) fn degraded(&self, was_ready: bool) -> ConditionState {
        match self.state {
            RolloutState::NotDeployed => {
                ConditionState::new(false, Reason::NotDeployed, "the Deployment does not exist")
            }
            RolloutState::ProgressDeadlineExceeded => {
                ConditionState::new(true, Reason::ProgressDeadlineExceeded, self.count_message())
            }
            RolloutState::FailedCreate => ConditionState::new(true, Reason::FailedCreate, self.count_message()),
            RolloutState::Missing if self.is_refused => {
                ConditionState::new(true, Reason::FailedCreate, self.count_message())
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
            | RolloutState::Unavailable => ConditionState::new(false, Reason::AsExpected, "the pods are as expected"),
        }
    }

    /// Returns whether pods are expected to become available for the first time.
    fn is_settling(&self, was_ready: bool) -> bool {
        !was_ready && !self.is_overdue && !self.is_refused
    }

    /// Returns the number of available and desired pods as text, with the detail.
    fn count_message(&self) -> String {
        let count = format!("{} of {} pods available", self.available, self.desired);
        if self.detail.is_empty() { count } else { format!("{count}: {}", self.detail) }
    }
}

/// Returns the time since fewer pods are available than desired, or `None` if enough are.
fn missing_since(status: &DeploymentStatus) -> Option<Timestamp> {
    let available = condition(status, "Available").filter(|condition| condition.status == "False")?;
    available.last_transition_time.as_ref().map(|time| time.0)
}

/// Returns a condition of a Deployment, or `None` if it is missing.
fn condition<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}
