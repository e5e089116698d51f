//! From what a pass found to the resource's status. Pure.

mod findings;
mod rollout;
mod status;
mod transitions;

pub use findings::{Findings, Problem};
pub use rollout::is_over as rollout_is_over;
pub use status::{Seen, status};
pub use transitions::{Transition, transitions};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
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

/// Every condition, each about `generation`. Times move only where the status flips.
fn conditions(
    old: &[Condition],
    generation: i64,
    findings: &Findings,
    rollout: &Rollout,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |kind: ConditionType| {
        let verdict = match kind {
            ConditionType::Ready => ready(findings, rollout),
            ConditionType::Available => rollout.available(),
            ConditionType::Progressing => rollout.progressing(),
            ConditionType::Degraded => rollout.degraded(),
            ConditionType::SpecValid => findings.spec_valid(),
            ConditionType::ReferencesResolved => findings.references_resolved(),
            ConditionType::Conflict => findings.conflict(),
        };
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
    };
    ConditionType::ALL.map(condition).into()
}

/// What is found in the way comes first, whatever still runs.
fn ready(findings: &Findings, rollout: &Rollout) -> Verdict {
    let blocked = [
        (!findings.spec.is_empty(), Reason::InvalidSpec, findings.spec_valid()),
        (!findings.references.is_empty(), Reason::ReferencesMissing, findings.references_resolved()),
        (!findings.conflicts.is_empty(), Reason::Conflict, findings.conflict()),
    ];
    match blocked.into_iter().find(|(found, ..)| *found) {
        Some((_, reason, verdict)) => Verdict::new(false, reason, verdict.message),
        None => rollout.ready(),
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
