//! The conditions that follow from a Deployment and from diagnostics.

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

use crate::common::fixtures::{hub, minimal_spec};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn resource() -> NotificationHub {
    serde_json::from_value(hub("vault", minimal_spec())).expect("a hub")
}

/// Returns a Deployment of generation 3 with this number of replicas and this status.
fn deployment(desired: i32, deployment_status: Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": { "generation": 3 },
        "spec": { "replicas": desired, "selector": {}, "template": {} },
        "status": deployment_status,
    }))
    .expect("a Deployment")
}

/// Returns the status of a hub for such a Deployment.
fn status_for(desired: i32, deployment_status: Value) -> NotificationHubStatus {
    status_at(&resource(), desired, deployment_status, 0)
}

/// Returns the status of `hub` for such a Deployment at this second.
fn status_at(hub: &NotificationHub, desired: i32, deployment_status: Value, second: i64) -> NotificationHubStatus {
    let deployment = Some(deployment(desired, deployment_status));
    status(hub, &ObservedState { deployment, ..ObservedState::default() }, at(second))
}

fn observed_with(diagnostics: Diagnostics) -> ObservedState {
    ObservedState { diagnostics, ..ObservedState::default() }
}

fn state_of(status: &NotificationHubStatus, kind: &str) -> String {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind).expect("the condition");
    format!("{} {}", condition.status, condition.reason)
}

fn pods(observed: i64, replicas: i32, updated: i32, available: i32, conditions: Value) -> Value {
    json!({
        "observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
        "readyReplicas": available, "availableReplicas": available, "conditions": conditions,
    })
}

/// Deployments, and the expected states of Ready, Available, Progressing and Degraded.
fn table() -> Vec<(&'static str, i32, Value, [&'static str; 4])> {
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    let rolling = json!([{ "type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated" }]);
    let stuck = json!([{ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out" }]);
    let refused = json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
    vec![
        (
            "just created",
            1,
            json!({}),
            ["False Progressing", "False Progressing", "True Progressing", "False AsExpected"],
        ),
        (
            "not observed by its controller yet",
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
            "pods are missing, although no rollout runs",
            3,
            pods(3, 3, 3, 1, complete.clone()),
            ["False Progressing", "False Unavailable", "True Progressing", "False AsExpected"],
        ),
        (
            "the rollout is stuck",
            1,
            pods(3, 1, 1, 0, stuck),
            [
                "False Unavailable",
                "False Unavailable",
                "False ProgressDeadlineExceeded",
                "True ProgressDeadlineExceeded",
            ],
        ),
        (
            "pods are refused",
            1,
            pods(3, 0, 0, 0, refused),
            ["False Unavailable", "False Unavailable", "False FailedCreate", "True FailedCreate"],
        ),
        (
            "scaled to zero",
            0,
            pods(3, 0, 0, 0, complete.clone()),
            ["True ScaledToZero", "False ScaledToZero", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "scaling to zero",
            0,
            pods(3, 1, 0, 1, complete),
            ["False Progressing", "True Available", "True Progressing", "False AsExpected"],
        ),
    ]
}

#[test]
fn conditions_follow_the_deployment_status() {
    for (case, desired, deployment_status, expected) in table() {
        let status = status_for(desired, deployment_status);
        let all = ["Ready", "Available", "Progressing", "Degraded"].map(|kind| state_of(&status, kind));
        assert_eq!(all, expected, "{case}");
    }
}

/// Pods that are missing since second 0, after the hub was ready.
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
        (
            "one of three pods is missing",
            3,
            some(3, 2),
            299,
            ["True Available", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "one of three pods is missing for too long",
            3,
            some(3, 2),
            300,
            ["True Available", "False RolloutComplete", "True Unavailable"],
        ),
        ("an autoscaler adds pods", 6, some(3, 3), 1, ["True Available", "False RolloutComplete", "False AsExpected"]),
        (
            "the added pods are not available",
            6,
            some(6, 3),
            2,
            ["True Available", "False RolloutComplete", "False AsExpected"],
        ),
        (
            "the added pods are not observed yet",
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
            ["True Available", "False RolloutComplete", "True FailedCreate"],
        ),
        ("no pod is available", 3, some(3, 0), 1, ["False Unavailable", "False RolloutComplete", "True Unavailable"]),
        ("fewer pods are desired", 2, some(3, 3), 1, ["True Available", "False RolloutComplete", "False AsExpected"]),
    ];
    let mut ready = resource();
    ready.metadata.generation = Some(1);
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    ready.status = Some(status_at(&ready, 3, pods(3, 3, 3, 3, complete), 0));
    let mut edited = ready.clone();
    edited.metadata.generation = Some(2);
    for (case, desired, deployment_status, second, expected) in table {
        let status = status_at(&ready, desired, deployment_status.clone(), second);
        assert_eq!(["Ready", "Progressing", "Degraded"].map(|kind| state_of(&status, kind)), expected, "{case}");
        // After an edit of the spec, every pod must be available.
        let awaited = state_of(&status_at(&edited, desired, deployment_status, 1), "Ready");
        let is_complete = case == "fewer pods are desired";
        let is_refused = case.contains("refused");
        assert_eq!(awaited == "True Available", is_complete || is_refused, "{case}: {awaited}");
    }
    let before = ready.status.clone().expect("a status").conditions;
    let degraded = status_at(&ready, 3, some(3, 2), 300).conditions;
    let events = transitions(&before, &degraded);
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0].is_warning && events[0].reason == "Unavailable", "{events:?}");
    assert_eq!(transitions(&before, &status_at(&ready, 3, some(3, 2), 299).conditions), []);
    let gone = transitions(&before, &status_at(&ready, 3, some(3, 0), 1).conditions);
    assert_eq!(gone.len(), 1, "one Event: {gone:?}");
    let overdue = overdue_at(&deployment(3, some(3, 2)), at(10));
    assert_eq!((overdue, overdue_at(&deployment(3, some(3, 2)), at(300))), (Some(at(300)), None));
}

#[test]
fn failed_status_keeps_known_conditions_and_is_not_ready() {
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    let mut hub = resource();
    let unknown = failed_status(&hub, "apply: no".to_owned(), at(1));
    assert_eq!(unknown.conditions.len(), 1, "the other conditions are unknown");
    hub.status = Some(status_at(&hub, 1, pods(3, 1, 1, 1, complete), 0));
    hub.metadata.generation = Some(2);
    let failed = failed_status(&hub, "apply: no".to_owned(), at(1));
    assert_eq!((state_of(&failed, "Ready"), failed.observed_generation), ("False ReconcileError".to_owned(), Some(2)));
    assert_eq!(state_of(&failed, "Available"), "True Available");
    let events = transitions(&hub.status.expect("a status").conditions, &failed.conditions);
    assert!(events.len() == 1 && events[0].is_warning && events[0].message == "apply: no", "{events:?}");
}

#[test]
fn replica_failure_message_is_passed_to_ready_condition() {
    let status = status_for(
        1,
        pods(3, 0, 0, 0, json!([{ "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }])),
    );
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
    let changed = status(&hub, &observed_with(diagnostics), at(3));
    let moved = changed.conditions.iter().filter(|condition| condition.last_transition_time.0 == at(3));
    assert_eq!(moved.map(|condition| condition.type_.as_str()).collect::<Vec<_>>(), ["Conflict"]);
}

#[test]
fn condition_change_yields_one_event() {
    let before = status_for(1, json!({}));
    let after = status_for(1, pods(3, 1, 1, 1, json!([])));
    let transition = |reason: &str, message: &str| Transition {
        reason: reason.to_owned(),
        message: message.to_owned(),
        is_warning: false,
    };
    assert_eq!(transitions(&[], &before.conditions), [transition("Progressing", "0 of 1 pods available")]);
    assert_eq!(transitions(&before.conditions, &after.conditions), [transition("Available", "1 of 1 pods available")]);
    assert_eq!(transitions(&after.conditions, &after.conditions), []);
    let diagnostics = Diagnostics { dropped: vec!["podTemplate.x".to_owned()], ..Diagnostics::default() };
    let dropped = status(&resource(), &observed_with(diagnostics), at(0));
    let events = transitions(&before.conditions, &dropped.conditions);
    assert!(events.len() == 1 && events[0].is_warning && events[0].reason == "FieldsDropped", "{events:?}");
}

/// Statuses for each Deployment, diagnostic, pause and exposure, which together have every reason.
pub fn situations() -> Vec<NotificationHubStatus> {
    let mut all: Vec<_> =
        table().into_iter().map(|(_, desired, deployment, _)| status_for(desired, deployment)).collect();
    let diagnostic = |reason| vec![Diagnostic { reason, message: String::new() }];
    let spec = [Reason::InvalidSpec, Reason::InvalidPodTemplate, Reason::ChildRejected];
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
    let found = of_spec.into_iter().chain(of_references).chain(others).map(observed_with);
    let paused = [vec![], one()].map(|pending| ObservedState { pending: Some(pending), ..ObservedState::default() });
    all.extend(found.chain(paused).map(|seen| status(&resource(), &seen, at(0))));
    all.push(failed_status(&resource(), String::new(), at(0)));
    all.push(status(&resource(), &ObservedState { is_queued: true, ..ObservedState::default() }, at(0)));
    let mut ready = resource();
    let complete = json!([{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }]);
    ready.metadata.generation = Some(1);
    ready.status = Some(status_at(&ready, 1, pods(3, 1, 1, 1, complete.clone()), 0));
    all.push(status_at(&ready, 1, pods(3, 1, 1, 0, complete.clone()), 1));
    let refused = json!([complete[0], { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" }]);
    all.push(status_at(&ready, 2, pods(3, 2, 2, 1, refused), 1));
    let steady =
        ObservedState { deployment: Some(deployment(1, pods(3, 1, 1, 1, complete))), ..ObservedState::default() };
    all.push(status(&ready, &ObservedState { is_queued: true, ..steady.clone() }, at(1)));
    for pending in [vec![], one()] {
        all.push(status(&ready, &ObservedState { pending: Some(pending), ..steady.clone() }, at(1)));
    }

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

/// `docs/resource.md` lists the reasons from their documentation.
#[test]
fn every_reason_is_documented_with_the_conditions_that_have_it() {
    let all = situations();
    let conditions = all.iter().flat_map(|status| &status.conditions);
    let observed: BTreeSet<_> = conditions.map(|each| format!("{} {}", each.type_, each.reason)).collect();
    let of = |(reason, text): (String, String)| {
        let (conditions, _) = text.split_once(": ").expect("the conditions first");
        let conditions = conditions.split(", ").map(|name| name.trim_matches('`'));
        conditions.map(|name| format!("{name} {reason}")).collect::<Vec<_>>()
    };
    let documented: BTreeSet<_> = Reason::descriptions().into_iter().flat_map(of).collect();
    assert_eq!(documented, observed);
    let types = ConditionType::descriptions();
    assert!(types.iter().map(|(name, _)| name.as_str()).eq(ConditionType::ALL.map(ConditionType::as_str)), "{types:?}");
}
