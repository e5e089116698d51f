//! What is worth an Event: a change of what the hub's conditions say. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use notification_hub_crds::condition::{ConditionType, Reason};

/// A change that people should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The reason of the condition, which becomes the Event's.
    pub reason: String,
    /// What the condition says.
    pub message: String,
    /// Whether something has to be done about it.
    pub is_warning: bool,
}

/// What has changed between two sets of conditions. `Ready` tells of all that is in the way; `SpecValid` is told of
/// where fields were left out, which does not keep a hub from being ready.
pub fn transitions(old: &[Condition], new: &[Condition]) -> Vec<Transition> {
    let find =
        |set: &[Condition], kind: ConditionType| set.iter().find(|condition| condition.type_ == kind.as_str()).cloned();
    let changed = |kind| {
        let now = find(new, kind)?;
        let before = find(old, kind);
        let same = before.is_some_and(|before| before.status == now.status && before.reason == now.reason);
        (!same).then_some(now)
    };
    let ready = changed(ConditionType::Ready).map(|now| Transition {
        is_warning: now.status == "False" && now.reason != Reason::Progressing.as_str(),
        reason: now.reason,
        message: now.message,
    });
    let dropped = changed(ConditionType::SpecValid).filter(|now| now.reason == Reason::FieldsDropped.as_str());
    let dropped = dropped.map(|now| Transition { is_warning: true, reason: now.reason, message: now.message });
    ready.into_iter().chain(dropped).collect()
}
