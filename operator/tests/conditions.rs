//! From a Deployment to what the conditions say.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::condition::{ConditionType, Reason};
use notification_hub_crds::v1alpha1::NotificationHubStatus;
use notification_hub_operator::conditions::{
    Diagnostic, Diagnostics, Exposure, ObservedState, Transition, failed_status, overdue_at, status, transitions,
};
use notification_hub_operator::third_party::ThirdPartyKind;
use serde_json::{Value, json};

use crate::common::fixtures::{hub, smallest};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn resource() -> NotificationHub {
    serde_json::from_value(hub("vault", smallest())).expect("a hub")
}

/// A Deployment of generation 3 that wants so many pods and has this status.
fn deployment(wanted: i32, deployment_status: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 3 },
        "spec": { "replicas": wanted, "selector": {}, "template": {} },
        "status": deployment_status,
    }))
    .expect("a Deployment")
}

/// The status for it.
fn of(wanted: i32, deployment_status: Value) -> NotificationHubStatus {
    later(&resource(), wanted, deployment_status, 0)
}

/// The status for it, at this second, of a hub that has a status already.
fn later(hub: &NotificationHub, wanted: i32, deployment_status: Value, second: i64) -> NotificationHubStatus {
    let deployment = Some(deployment(wanted, deployment_status));
    status(hub, &ObservedState { deployment, ..ObservedState::default() }, at(second))
}

fn found(diagnostics: Diagnostics) -> ObservedState {
    ObservedState { diagnostics, ..ObservedState::default() }
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

/// Deployments, and what they make of Ready, Available, Progressing and Degraded.
fn table() -> Vec<(&'static str, i32, Value, [&'static str; 4])> {
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    let rolling = json!([{ "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated" }]);
    let stuck = json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }]);
    let refused = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
    vec![
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
            "the pods are still to come, though nothing is rolled out",
            3,
            pods(3, 3, 3, 1, complete.clone()),
            ["False Progressing", "False Unavailable", "True Progressing", "False AsExpected"],
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
    ]
}

#[test]
fn conditions_follow_the_deployment_status() {
    for (case, wanted, deployment_status, expected) in table() {
        let status = of(wanted, deployment_status);
        let all = ["Ready", "Available", "Progressing", "Degraded"].map(|kind| said(&status, kind));
        assert_eq!(all, expected, "{case}");
    }
}

/// Pods that are missing after the hub was ready, since second 0.
#[test]
fn ready_hub_missing_pods_is_degraded_after_grace_period() {
    let conditions = |refused: bool| {
        let failure = json!({ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" });
        let mut all = vec![
            json!({ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }),
            json!({ "type": "Available", "status": "False", "lastTransitionTime": "1970-01-01T00:00:00Z" }),
        ];
        all.extend(refused.then_some(failure));
        Value::from(all)
    };
    let some = |replicas, available| pods(3, replicas, replicas, available, conditions(false));
    let table = [
        ("a pod of three is away", 3, some(3, 2), 299, ["True Available", "False RolloutComplete", "False AsExpected"]),
        ("for too long", 3, some(3, 2), 300, ["True Available", "False RolloutComplete", "True Unavailable"]),
        ("an autoscaler wants more", 6, some(3, 3), 1, ["True Available", "False RolloutComplete", "False AsExpected"]),
        (
            "they are there, but do not answer",
            6,
            some(6, 3),
            2,
            ["True Available", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "its step is not seen yet",
            6,
            pods(2, 3, 3, 3, conditions(false)),
            1,
            ["True Available", "True Progressing", "False AsExpected"],
        ),
        (
            "more pods are refused",
            6,
            pods(3, 4, 4, 4, conditions(true)),
            1,
            ["True Available", "False RolloutComplete", "True PodsRefused"],
        ),
        ("no pod answers", 3, some(3, 0), 1, ["False Unavailable", "False RolloutComplete", "True Unavailable"]),
        ("fewer are wanted", 2, some(3, 3), 1, ["True Available", "False RolloutComplete", "False AsExpected"]),
    ];
    let mut ready = resource();
    ready.metadata.generation = Some(1);
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    ready.status = Some(later(&ready, 3, pods(3, 3, 3, 3, complete), 0));
    let mut edited = ready.clone();
    edited.metadata.generation = Some(2);
    for (case, wanted, deployment_status, second, expected) in table {
        let status = later(&ready, wanted, deployment_status.clone(), second);
        assert_eq!(["Ready", "Progressing", "Degraded"].map(|kind| said(&status, kind)), expected, "{case}");
        // Right behind an edit of the spec every pod counts.
        let awaited = said(&later(&edited, wanted, deployment_status, 1), "Ready");
        let is_complete = case == "fewer are wanted";
        let is_refused = case.contains("refused");
        assert_eq!(awaited == "True Available", is_complete || is_refused, "{case}: {awaited}");
    }
    let before = ready.status.clone().expect("a status").conditions;
    let degraded = later(&ready, 3, some(3, 2), 300).conditions;
    let told = transitions(&before, &degraded);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].is_warning && told[0].reason == "Unavailable", "{told:?}");
    assert_eq!(transitions(&before, &later(&ready, 3, some(3, 2), 299).conditions), []);
    let gone = transitions(&before, &later(&ready, 3, some(3, 0), 1).conditions);
    assert_eq!(gone.len(), 1, "told of once: {gone:?}");
    let overdue = overdue_at(&deployment(3, some(3, 2)), at(10));
    assert_eq!((overdue, overdue_at(&deployment(3, some(3, 2)), at(300))), (Some(at(300)), None));
}

#[test]
fn failed_status_keeps_known_conditions_and_is_not_ready() {
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    let mut hub = resource();
    let unknown = failed_status(&hub, "apply: no".to_owned(), at(1));
    assert_eq!(unknown.conditions.len(), 1, "nothing else is known");
    hub.status = Some(later(&hub, 1, pods(3, 1, 1, 1, complete), 0));
    hub.metadata.generation = Some(2);
    let failed = failed_status(&hub, "apply: no".to_owned(), at(1));
    assert_eq!((said(&failed, "Ready"), failed.observed_generation), ("False ReconcileError".to_owned(), Some(2)));
    assert_eq!(said(&failed, "Available"), "True Available");
    let events = transitions(&hub.status.expect("a status").conditions, &failed.conditions);
    assert!(events.len() == 1 && events[0].is_warning && events[0].message == "apply: no", "{events:?}");
}

#[test]
fn replica_failure_message_is_passed_to_ready_condition() {
    let status =
        of(1, pods(3, 0, 0, 0, json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }])));
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").expect("Ready");
    assert_eq!(ready.message, "0 of 1 pods available: exceeded quota");
}

#[test]
fn last_transition_time_changes_only_when_a_status_flips() {
    let mut hub = resource();
    hub.status = Some(status(&hub, &ObservedState::default(), at(1)));
    let later = status(&hub, &ObservedState::default(), at(2));
    assert_eq!(hub.status.as_ref(), Some(&later), "nothing has changed");
    let diagnostics = Diagnostics { conflicts: vec!["Service vault".to_owned()], ..Diagnostics::default() };
    let changed = status(&hub, &found(diagnostics), at(3));
    let moved = changed.conditions.iter().filter(|condition| condition.last_transition_time.0 == at(3));
    assert_eq!(moved.map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Conflict"]);
}

#[test]
fn condition_change_yields_one_event() {
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
    let diagnostics = Diagnostics { dropped: vec!["podTemplate.x".to_owned()], ..Diagnostics::default() };
    let dropped = status(&resource(), &found(diagnostics), at(0));
    let events = transitions(&before.conditions, &dropped.conditions);
    assert!(events.len() == 1 && events[0].is_warning && events[0].reason == "FieldsDropped", "{events:?}");
}

/// Everything that can be said of a hub: by each Deployment, each thing in the way, each pause, each way from outside.
fn situations() -> Vec<NotificationHubStatus> {
    let mut all: Vec<_> = table().into_iter().map(|(_, wanted, deployment, _)| of(wanted, deployment)).collect();
    let diagnostic = |reason| vec![Diagnostic { reason, message: String::new() }];
    let spec = [Reason::InvalidSpec, Reason::InvalidPodTemplate, Reason::Refused];
    let references =
        [Reason::SecretNotFound, Reason::SecretEntryMissing, Reason::SecretEntryInvalid, Reason::InvalidKey];
    let of_spec = spec.map(|reason| Diagnostics { spec: diagnostic(reason), ..Diagnostics::default() });
    let of_references =
        references.map(|reason| Diagnostics { references: diagnostic(reason), ..Diagnostics::default() });
    let one = || vec!["one".to_owned()];
    let others = [
        Diagnostics { conflicts: one(), ..Diagnostics::default() },
        Diagnostics { dropped: one(), ..Diagnostics::default() },
        Diagnostics::default(),
    ];
    let found = of_spec.into_iter().chain(of_references).chain(others).map(found);
    let paused = [vec![], one()].map(|pending| ObservedState { pending: Some(pending), ..ObservedState::default() });
    all.extend(found.chain(paused).map(|seen| status(&resource(), &seen, at(0))));
    all.push(failed_status(&resource(), String::new(), at(0)));
    all.push(status(&resource(), &ObservedState { is_queued: true, ..ObservedState::default() }, at(0)));
    let mut ready = resource();
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    ready.metadata.generation = Some(1);
    ready.status = Some(later(&ready, 1, pods(3, 1, 1, 1, complete.clone()), 0));
    all.push(later(&ready, 1, pods(3, 1, 1, 0, complete), 1));

    let mut exposed = resource();
    exposed.spec.expose = serde_json::from_value(json!({ "ingress": {} })).expect("an Ingress");
    let address = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
    let class = json!({ "ingressClassName": "nginx" });
    for ingress in [json!(null), json!({}), json!({ "spec": class }), json!({ "status": address })] {
        let ingress = serde_json::from_value(ingress).expect("an Ingress, or none");
        let exposure = Exposure { ingress, ..Exposure::default() };
        all.push(status(&exposed, &ObservedState { exposure, ..ObservedState::default() }, at(0)));
    }

    let mut routed = resource();
    let route = json!({ "httpRoute": { "parentRefs": [{ "name": "public" }] } });
    routed.spec.expose = serde_json::from_value(route).expect("a route");
    let unserved = Diagnostics { unserved: ThirdPartyKind::ALL.into(), ..Diagnostics::default() };
    all.push(status(&routed, &ObservedState { diagnostics: unserved, ..ObservedState::default() }, at(0)));
    for accepted in ["Unknown", "False", "True"] {
        let condition = |kind: &str| {
            json!({
                "type": kind, "status": accepted, "reason": "A", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let parent = json!({
            "parentRef": { "name": "public" }, "conditions": [condition("Accepted"), condition("ResolvedRefs")],
        });
        let route = json!({
            "metadata": {}, "spec": { "parentRefs": [{ "name": "public" }] }, "status": { "parents": [parent] },
        });
        let exposure = Exposure { http_route: serde_json::from_value(route).expect("a route"), ..Exposure::default() };
        all.push(status(&routed, &ObservedState { exposure, ..ObservedState::default() }, at(0)));
    }
    all
}

/// By its documentation, `docs/resource.md` tells of it.
#[test]
fn every_reason_is_documented_with_the_conditions_that_have_it() {
    let all = situations();
    let conditions = all.iter().flat_map(|status| &status.conditions);
    let said: BTreeSet<_> = conditions.map(|each| format!("{} {}", each.type_, each.reason)).collect();
    let of = |(reason, text): (String, String)| {
        let (conditions, _) = text.split_once(": ").expect("the conditions first");
        let conditions = conditions.split(", ").map(|name| name.trim_matches('`'));
        conditions.map(|name| format!("{name} {reason}")).collect::<Vec<_>>()
    };
    let documented: BTreeSet<_> = Reason::descriptions().into_iter().flat_map(of).collect();
    assert_eq!(documented, said);
    let types = ConditionType::descriptions();
    assert!(types.iter().map(|(name, _)| name.as_str()).eq(ConditionType::ALL.map(ConditionType::as_str)), "{types:?}");
}
