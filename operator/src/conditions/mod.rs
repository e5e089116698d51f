//! From what a pass found to the resource's status. Pure.

mod exposure;
mod findings;
mod rollout;
mod status;
mod transitions;

pub use exposure::Exposure;
pub use findings::{Findings, Problem};
pub use rollout::{is_over as rollout_is_over, overdue_at};
pub use status::{Seen, failed_status, status};
pub use transitions::{Transition, transitions};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::PAUSED_ANNOTATION;
use notification_hub_crds::condition::{ConditionType, Reason};

use rollout::Rollout;

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    holds: bool,
    reason: Reason,
    message: String,
}

impl Verdict {
    fn new(holds: bool, reason: Reason, message: impl Into<String>) -> Verdict {
        Verdict { holds, reason, message: message.into() }
    }
}

/// What the conditions are about.
struct Facts<'a> {
    findings: &'a Findings,
    pending: Option<&'a [String]>,
    exposed: Verdict,
    rollout: Rollout,
    is_queued: bool,
}

/// Every condition, each about `generation`.
fn conditions(old: &[Condition], generation: i64, facts: &Facts<'_>, now: Timestamp) -> Vec<Condition> {
    let Facts { findings, pending, exposed, rollout, is_queued } = facts;
    let was_ready = old.iter().any(|condition| {
        condition.type_ == ConditionType::Ready.as_str()
            && condition.status == "True"
            && condition.reason == Reason::Available.as_str()
            && condition.observed_generation == Some(generation)
    });
    let verdict = |kind: ConditionType| match kind {
        ConditionType::Ready => ready(facts, was_ready),
        ConditionType::Available => rollout.available(),
        ConditionType::Progressing if *is_queued => {
            Verdict::new(false, Reason::RolloutQueued, "waits until rollouts of other hubs are over")
        }
        ConditionType::Progressing => rollout.progressing(was_ready),
        ConditionType::Degraded => rollout.degraded(was_ready),
        ConditionType::SpecValid => findings.spec_valid(),
        ConditionType::ReferencesResolved => findings.references_resolved(),
        ConditionType::Exposed => exposed.clone(),
        ConditionType::Paused => paused(*pending),
        ConditionType::Conflict => findings.conflict(),
    };
    ConditionType::ALL.map(|kind| condition(old, generation, kind, verdict(kind), now)).into()
}

/// A condition about `generation`. Its time moves only where its status flips.
fn condition(old: &[Condition], generation: i64, kind: ConditionType, verdict: Verdict, now: Timestamp) -> Condition {
    let status = if verdict.holds { "True" } else { "False" };
    let before = old.iter().find(|condition| condition.type_ == kind.as_str() && condition.status == status);
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: verdict.reason.as_str().to_owned(),
        message: shortened(verdict.message, LONGEST_MESSAGE),
        observed_generation: Some(generation),
        last_transition_time: before.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}

/// What is found in the way comes first, whatever still runs.
fn ready(facts: &Facts<'_>, was_ready: bool) -> Verdict {
    let Facts { findings, pending, rollout, .. } = facts;
    let blocked = [
        (!findings.spec.is_empty(), Reason::InvalidSpec, findings.spec_valid()),
        (!findings.references.is_empty(), Reason::ReferencesMissing, findings.references_resolved()),
        (!findings.conflicts.is_empty(), Reason::Conflict, findings.conflict()),
    ];
    match blocked.into_iter().find(|(found, ..)| *found) {
        Some((_, reason, verdict)) => Verdict::new(false, reason, verdict.message),
        None if pending.is_some_and(|pending| !pending.is_empty()) => Verdict { holds: false, ..paused(*pending) },
        None => rollout.ready(was_ready),
    }
}

fn paused(pending: Option<&[String]>) -> Verdict {
    match pending {
        None => Verdict::new(false, Reason::NotPaused, "changes are carried out"),
        Some([]) => Verdict::new(true, Reason::Paused, format!("{PAUSED_ANNOTATION} is set; no change is waiting")),
        Some(pending) => {
            let objects = pending.join(", ");
            Verdict::new(
                true,
                Reason::Paused,
                format!("{PAUSED_ANNOTATION} is set; changes are waiting for: {objects}"),
            )
        }
    }
}

/// The API server takes 32768 bytes of message; nobody reads more than this.
const LONGEST_MESSAGE: usize = 2000;

/// The API server takes 1024 bytes of note with an Event; a character may be four.
const LONGEST_NOTE: usize = 250;

/// A message as short as an Event's note has to be.
pub fn as_note(message: String) -> String {
    shortened(message, LONGEST_NOTE)
}

fn shortened(message: String, longest: usize) -> String {
    match message.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}
