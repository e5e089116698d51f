//! Computes the resource's status from what a reconcile observed. No I/O.

mod diagnostics;
mod exposure;
mod rollout;
mod status;
mod transitions;

pub use diagnostics::{Diagnostic, Diagnostics};
pub use exposure::Exposure;
pub use rollout::{is_rollout_over, overdue_at};
pub use status::{ObservedState, failed_status, status};
pub use transitions::{Transition, transitions};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::PAUSED_ANNOTATION;
use notification_hub_crds::condition::{ConditionType, Reason};

use rollout::Rollout;

/// Status, reason and message of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ConditionState {
    is_true: bool,
    reason: Reason,
    message: String,
}

impl ConditionState {
    fn new(is_true: bool, reason: Reason, message: impl Into<String>) -> ConditionState {
        ConditionState { is_true, reason, message: message.into() }
    }
}

/// Inputs of the conditions.
struct ConditionInputs<'a> {
    diagnostics: &'a Diagnostics,
    /// Objects with pending changes, or `None` unless the hub is paused.
    pending: Option<&'a [String]>,
    exposed: ConditionState,
    rollout: Rollout,
    is_queued: bool,
}

/// Returns every condition about `generation`.
fn conditions(old: &[Condition], generation: i64, inputs: &ConditionInputs<'_>, now: Timestamp) -> Vec<Condition> {
    let ConditionInputs { diagnostics, pending, exposed, rollout, is_queued } = inputs;
    let was_ready = old.iter().any(|condition| {
        condition.type_ == ConditionType::Ready.as_str()
            && condition.status == "True"
            && condition.reason == Reason::Available.as_str()
            && condition.observed_generation == Some(generation)
    });
    let state = |kind: ConditionType| match kind {
        ConditionType::Ready => ready(inputs, was_ready),
        ConditionType::Available => rollout.available(),
        ConditionType::Progressing if *is_queued => {
            ConditionState::new(false, Reason::RolloutQueued, "the rollout waits for rollouts of other hubs")
        }
        ConditionType::Progressing => rollout.progressing(was_ready),
        ConditionType::Degraded => rollout.degraded(was_ready),
        ConditionType::SpecValid => diagnostics.spec_valid(),
        ConditionType::ReferencesResolved => diagnostics.references_resolved(),
        ConditionType::Exposed => exposed.clone(),
        ConditionType::Paused => paused(*pending),
        ConditionType::Conflict => diagnostics.conflict(),
    };
    ConditionType::ALL.map(|kind| condition(old, generation, kind, state(kind), now)).into()
}

/// Returns a condition about `generation`. Its transition time changes only with its status.
fn condition(
    old: &[Condition],
    generation: i64,
    kind: ConditionType,
    state: ConditionState,
    now: Timestamp,
) -> Condition {
    let status = if state.is_true { "True" } else { "False" };
    let before = old.iter().find(|condition| condition.type_ == kind.as_str() && condition.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: state.reason.as_str().to_owned(),
        message: truncated(state.message, MAX_MESSAGE_CHARS),
        observed_generation: Some(generation),
        last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}

/// Returns the state of `Ready`. A diagnostic that blocks the hub takes precedence over the state of its pods.
fn ready(inputs: &ConditionInputs<'_>, was_ready: bool) -> ConditionState {
    let ConditionInputs { diagnostics, pending, rollout, .. } = inputs;
    let blocked = [
        (!diagnostics.spec.is_empty(), Reason::InvalidSpec, diagnostics.spec_valid()),
        (!diagnostics.references.is_empty(), Reason::ReferencesMissing, diagnostics.references_resolved()),
        (!diagnostics.conflicts.is_empty(), Reason::Conflict, diagnostics.conflict()),
    ];
    match blocked.into_iter().find(|(found, ..)| *found) {
        Some((_, reason, state)) => ConditionState::new(false, reason, state.message),
        None if pending.is_some_and(|pending| !pending.is_empty()) => {
            ConditionState { is_true: false, ..paused(*pending) }
        }
        None => rollout.ready(was_ready),
    }
}

/// Returns the state of `Paused`.
fn paused(pending: Option<&[String]>) -> ConditionState {
    match pending {
        None => ConditionState::new(false, Reason::NotPaused, "changes are applied"),
        Some([]) => {
            ConditionState::new(true, Reason::Paused, format!("{PAUSED_ANNOTATION} is set; no changes are pending"))
        }
        Some(pending) => {
            let objects = pending.join(", ");
            ConditionState::new(true, Reason::Paused, format!("{PAUSED_ANNOTATION} is set; pending changes: {objects}"))
        }
    }
}

/// Maximum length of a condition's message, in characters. The API server accepts 32768 bytes.
const MAX_MESSAGE_CHARS: usize = 2000;

/// Maximum length of an Event's note, in characters of up to four bytes. The API server accepts 1024 bytes.
const MAX_NOTE_CHARS: usize = 250;

/// Returns a message, truncated to the maximum length of an Event's note.
pub fn event_note(message: String) -> String {
    truncated(message, MAX_NOTE_CHARS)
}

/// Returns a message, truncated to `max_chars` characters with an ellipsis behind them.
fn truncated(message: String, max_chars: usize) -> String {
    match message.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}
