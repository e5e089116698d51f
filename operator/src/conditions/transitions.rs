//! Changes of the hub's conditions that are reported as Events. No I/O.

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

/// What has changed between two sets of conditions. `Ready` tells of all that is in the way; `Degraded` is told of
/// where enough pods serve, `SpecValid` where fields were left out, `Paused` where nothing is waiting, and `Exposed`
/// where a way from outside is asked for: none of them keeps a hub from being ready.
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
    // Told of by Ready where changes are waiting.
    let paused = changed(ConditionType::Paused).filter(|now| now.reason == Reason::Paused.as_str());
    let paused = paused.filter(|now| ready.as_ref().is_none_or(|ready| ready.reason != now.reason));
    let paused = paused.map(|now| Transition { is_warning: false, reason: now.reason, message: now.message });
    // Nothing to tell of, or nothing yet.
    let silent = [Reason::NotAsked, Reason::NotMade].map(Reason::as_str);
    let exposed = changed(ConditionType::Exposed).filter(|now| !silent.contains(&now.reason.as_str()));
    let exposed = exposed.map(|now| Transition {
        is_warning: now.reason == Reason::NoIngressClass.as_str(),
        reason: now.reason,
        message: now.message,
    });
    ready.into_iter().chain(degraded).chain(dropped).chain(paused).chain(exposed).collect()
}
