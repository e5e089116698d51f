//! Changes of conditions that are published as Events. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use notification_hub_crds::condition::{ConditionType, Reason};

/// A change of a condition that is published as an Event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Reason of the condition and of the Event.
    pub reason: String,
    /// Message of the condition.
    pub message: String,
    /// Whether the Event is a warning.
    pub is_warning: bool,
}

/// Returns the changes between two sets of conditions.
///
/// A change of `Ready` covers every problem that blocks the hub. The others do not: `Degraded` while the hub is ready,
/// `SpecValid` if fields were dropped, `Paused` without pending changes, and `Exposed` if the spec has `expose`.
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Transition> {
    let find =
        |set: &[Condition], kind: ConditionType| set.iter().find(|condition| condition.type_ == kind.as_str()).cloned();
    let changed = |kind| {
        let now = find(new, kind)?;
        let before = find(old, kind);
        let is_unchanged = before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
        (!is_unchanged).then_some(now)
    };
    let ready = changed(ConditionType::Ready).map(|now| Transition {
        is_warning: now.status == "False"
            && ![Reason::Progressing, Reason::Paused].map(Reason::as_str).contains(&now.reason.as_str()),
        reason: now.reason,
        message: now.message,
    });
    let is_ready = find(new, ConditionType::Ready).is_some_and(|now| now.status == "True");
    let degraded = changed(ConditionType::Degraded).filter(|now| is_ready && now.status == "True");
    let degraded = degraded.map(|now| Transition { is_warning: true, reason: now.reason, message: now.message });
    let dropped = changed(ConditionType::SpecValid).filter(|now| now.reason == Reason::FieldsDropped.as_str());
    let dropped = dropped.map(|now| Transition { is_warning: true, reason: now.reason, message: now.message });
    // With pending changes, `Ready` has the same reason.
    let paused = changed(ConditionType::Paused).filter(|now| now.reason == Reason::Paused.as_str());
    let paused = paused.filter(|now| ready.as_ref().is_none_or(|ready| ready.reason != now.reason));
    let paused = paused.map(|now| Transition { is_warning: false, reason: now.reason, message: now.message });
    let unreported = [Reason::NotRequested, Reason::NotCreated].map(Reason::as_str);
    let exposed = changed(ConditionType::Exposed).filter(|now| !unreported.contains(&now.reason.as_str()));
    let exposed = exposed.map(|now| Transition {
        is_warning: now.reason == Reason::NoIngressClass.as_str(),
        reason: now.reason,
        message: now.message,
    });
    ready.into_iter().chain(degraded).chain(dropped).chain(paused).chain(exposed).collect()
}
