//! From a Deployment to what the conditions say.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::NotificationHubStatus;
use notification_hub_operator::conditions::{Findings, Seen, Transition, status, transitions};
use serde_json::{Value, json};

use crate::common::fixtures::{hub, smallest};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn resource() -> NotificationHub {
    serde_json::from_value(hub("vault", smallest())).expect("a hub")
}

/// The status for a Deployment of generation 3 that wants so many pods and has this status.
fn of(wanted: i32, deployment_status: Value) -> NotificationHubStatus {
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": { "generation": 3 },
        "spec": { "replicas": wanted, "selector": {}, "template": {} },
        "status": deployment_status,
    }))
    .expect("a Deployment");
    status(&resource(), &Seen { deployment: Some(deployment), ..Seen::default() }, at(0))
}

fn found(findings: Findings) -> Seen {
    Seen { findings, ..Seen::default() }
}

fn said(status: &NotificationHubStatus, kind: &str) -> String {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind).expect("the condition");
    format!("{} {}", condition.status, condition.reason)
}

fn pods(observed: i64, replicas: i32, updated: i32, available: i32, conditions: Value) -> Value {
    json!({
        "observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
        "readyReplicas": available, "availableReplicas": available, "conditions": conditions,
    })
}

#[test]
fn the_table() {
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    let rolling = json!([{ "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated" }]);
    let stuck = json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }]);
    let refused = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
    // Deployment, then Ready, Available, Progressing, Degraded.
    let table = [
        ("just made", 1, json!({}), ["False Progressing", "False Progressing", "True Progressing", "False AsExpected"]),
        (
            "not seen by its controller yet",
            1,
            pods(2, 1, 1, 1, complete.clone()),
            ["False Progressing", "True Available", "True Progressing", "False AsExpected"],
        ),
        (
            "complete",
            1,
            pods(3, 1, 1, 1, complete.clone()),
            ["True Available", "True Available", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "the new pod is not ready, the old one serves",
            1,
            pods(3, 2, 1, 1, rolling.clone()),
            ["False Progressing", "True Available", "True Progressing", "False AsExpected"],
        ),
        (
            "the old pod is still there",
            1,
            pods(3, 2, 1, 2, rolling),
            ["False Progressing", "True Available", "True Progressing", "False AsExpected"],
        ),
        (
            "the pod is gone after the rollout",
            1,
            pods(3, 1, 1, 0, complete.clone()),
            ["False Unavailable", "False Unavailable", "False RolloutComplete", "True Unavailable"],
        ),
        (
            "the rollout is stuck",
            1,
            pods(3, 1, 1, 0, stuck),
            ["False Unavailable", "False Unavailable", "False DeadlineExceeded", "True DeadlineExceeded"],
        ),
        (
            "pods are refused",
            1,
            pods(3, 0, 0, 0, refused),
            ["False Unavailable", "False Unavailable", "False PodsRefused", "True PodsRefused"],
        ),
        (
            "scaled to zero",
            0,
            pods(3, 0, 0, 0, complete.clone()),
            ["True ScaledToZero", "False ScaledToZero", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "on the way to zero",
            0,
            pods(3, 1, 0, 1, complete),
            ["False Progressing", "True Available", "True Progressing", "False AsExpected"],
        ),
    ];
    for (case, wanted, deployment_status, expected) in table {
        let status = of(wanted, deployment_status);
        let all = ["Ready", "Available", "Progressing", "Degraded"].map(|kind| said(&status, kind));
        assert_eq!(all, expected, "{case}");
    }
}

#[test]
fn the_servers_words_are_passed_on() {
    let status =
        of(1, pods(3, 0, 0, 0, json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }])));
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").expect("Ready");
    assert_eq!(ready.message, "0 of 1 pods available: exceeded quota");
}

#[test]
fn times_move_only_where_a_status_flips() {
    let mut hub = resource();
    hub.status = Some(status(&hub, &Seen::default(), at(1)));
    let later = status(&hub, &Seen::default(), at(2));
    assert_eq!(hub.status.as_ref(), Some(&later), "nothing has changed");
    let findings = Findings { conflicts: vec!["Service vault".to_owned()], ..Findings::default() };
    let changed = status(&hub, &found(findings), at(3));
    let moved = changed.conditions.iter().filter(|condition| condition.last_transition_time.0 == at(3));
    assert_eq!(moved.map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Conflict"]);
}

#[test]
fn a_change_is_told_once() {
    let before = of(1, json!({}));
    let after = of(1, pods(3, 1, 1, 1, json!([])));
    let told = |reason: &str, message: &str| Transition {
        reason: reason.to_owned(),
        message: message.to_owned(),
        is_warning: false,
    };
    assert_eq!(transitions(&[], &before.conditions), [told("Progressing", "0 of 1 pods available")]);
    assert_eq!(transitions(&before.conditions, &after.conditions), [told("Available", "1 of 1 pods available")]);
    assert_eq!(transitions(&after.conditions, &after.conditions), []);
    let findings = Findings { dropped: vec!["podTemplate.x".to_owned()], ..Findings::default() };
    let dropped = status(&resource(), &found(findings), at(0));
    let events = transitions(&before.conditions, &dropped.conditions);
    assert!(events.len() == 1 && events[0].is_warning && events[0].reason == "FieldsDropped", "{events:?}");
}
