//! Diagnostics of one reconcile, and the conditions that report them. No I/O.

use notification_hub_crds::ADOPT_ANNOTATION;
use notification_hub_crds::condition::Reason;

use super::ConditionState;
use crate::third_party::ThirdPartyKind;

/// A problem of a resource, or of an object that it refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The reason of the condition that reports it.
    pub reason: Reason,
    /// The field or object, and what is wrong with it.
    pub message: String,
}

/// Diagnostics of one reconcile, by the condition that reports them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// Invalid fields of the spec, and refusals of the API server.
    pub spec: Vec<Diagnostic>,
    /// Missing or invalid objects that the spec refers to.
    pub references: Vec<Diagnostic>,
    /// Kinds and names of objects that the hub needs and does not own.
    pub conflicts: Vec<String>,
    /// Paths of the spec's fields that were dropped. The rest is applied.
    pub dropped: Vec<String>,
    /// Kinds that the spec asks for and the API server does not serve. The rest is applied.
    pub unserved: Vec<ThirdPartyKind>,
}

impl Diagnostics {
    /// Returns whether a diagnostic keeps the hub's children from being changed.
    pub fn is_blocking(&self) -> bool {
        !(self.spec.is_empty() && self.references.is_empty() && self.conflicts.is_empty())
    }

    /// Returns the state of `SpecValid`.
    pub(super) fn spec_valid(&self) -> ConditionState {
        if let Some(first) = self.spec.first() {
            return ConditionState::new(false, first.reason, join_messages(&self.spec));
        }
        let reason = match (self.dropped.is_empty(), self.unserved.is_empty()) {
            (true, true) => return ConditionState::new(true, Reason::Valid, "the spec is valid"),
            (true, false) => Reason::KindNotServed,
            (false, _) => Reason::FieldsDropped,
        };
        ConditionState::new(false, reason, self.omissions().collect::<Vec<_>>().join("; "))
    }

    /// Returns a message for each part of the spec that was left out while the rest is applied.
    pub fn omissions(&self) -> impl Iterator<Item = String> {
        let fields = self.dropped.join(", ");
        let dropped = (!fields.is_empty())
            .then(|| format!("{fields}: unknown or protected, so not applied; remove these fields"));
        dropped.into_iter().chain(self.unserved.iter().map(|kind| not_served(*kind)))
    }

    /// Returns the state of `ReferencesResolved`.
    pub(super) fn references_resolved(&self) -> ConditionState {
        match self.references.first() {
            Some(first) => ConditionState::new(false, first.reason, join_messages(&self.references)),
            None => {
                ConditionState::new(true, Reason::Resolved, "every object that the spec refers to exists and is valid")
            }
        }
    }

    /// Returns the state of `Conflict`.
    pub(super) fn conflict(&self) -> ConditionState {
        if self.conflicts.is_empty() {
            return ConditionState::new(false, Reason::NoConflict, "no conflicting objects");
        }
        let objects = self.conflicts.join(", ");
        let message = format!(
            "{objects}: not owned by this hub; delete or rename the object, or annotate a restored Secret with \
             {ADOPT_ANNOTATION}=true"
        );
        ConditionState::new(true, Reason::ForeignObject, message)
    }
}

/// Returns the message about a kind that the API server does not serve.
pub(super) fn not_served(kind: ThirdPartyKind) -> String {
    format!("{}: the API server does not serve {kind}; install its CRD", kind.field())
}

/// Returns the messages, separated by semicolons.
fn join_messages(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>().join("; ")
}
