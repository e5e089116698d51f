//! Paused hubs: nothing is changed, and the status lists the pending changes.

use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, condition, has_condition, hub, key, message, minimal_spec,
    reconcile_until_ready, reconcile_vault, secret, with_queue, with_signing_keys,
};
use crate::controller::Running;

fn set_paused(api: &FakeApi, value: &str) {
    api.edit(&key(HUBS, "vault"), |hub| hub["metadata"]["annotations"]["notificationhub.rs/paused"] = json!(value));
}

/// Returns an API server with a ready hub that is paused.
async fn paused_hub() -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    api.create(hub("vault", minimal_spec()));
    reconcile_until_ready(&api).await;
    set_paused(&api, "true");
    reconcile_vault(&api).await;
    api
}

/// Returns the changes since a version, without those of the resource and of Events.
fn changes(api: &FakeApi, since: usize) -> Vec<String> {
    let mut changes = api.changes_since(since);
    changes.retain(|change| !change.contains("notificationhubs") && !change.contains("events"));
    changes
}

#[tokio::test]
async fn paused_hub_without_pending_changes_is_ready() {
    let api = paused_hub().await;
    assert_eq!(condition(&api, "vault", "Paused"), ("True".into(), "Paused".into()));
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
    assert!(message(&api, "vault", "Paused").contains("no changes are pending"));
    let version = api.version();
    reconcile_vault(&api).await;
    assert_eq!(api.changes_since(version), [""; 0]);
}

#[tokio::test]
async fn paused_hub_lists_pending_changes_and_resume_applies_them() {
    let with = |field: &'static str, value: Value| move |spec: &mut Value| spec[field] = value;
    type Edit = Box<dyn FnOnce(&mut Value)>;
    let table: [(Edit, &str); 4] = [
        (Box::new(with("replicas", json!(0))), "Deployment vault"),
        (Box::new(with("installationID", json!("6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1"))), "Deployment vault"),
        (Box::new(with("auth", json!({ "generate": { "algorithm": "RS256" } }))), "Secret vault-jwt"),
        (
            Box::new(|spec: &mut Value| *spec = with_queue("storage")),
            "Deployment vault, Service vault-internal, Secret vault-jwt",
        ),
    ];
    for (edit, waiting) in table {
        let api = paused_hub().await;
        api.edit(&key(HUBS, "vault"), |hub| edit(&mut hub["spec"]));
        let version = api.version();
        reconcile_vault(&api).await;
        assert_eq!(changes(&api, version), [""; 0], "{waiting}");
        let expected = format!("notificationhub.rs/paused is set; pending changes: {waiting}");
        assert_eq!(message(&api, "vault", "Paused"), expected);
        assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Paused".into()));
        assert_eq!(condition(&api, "vault", "Available"), ("True".into(), "Available".into()), "the pods keep running");
        let status = api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
        assert_eq!(status["observedGeneration"], 2);
        let version = api.version();
        reconcile_vault(&api).await;
        assert_eq!(api.changes_since(version), [""; 0], "the status is written once");

        // Only the value `true` pauses.
        set_paused(&api, "false");
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "Paused"), ("False".into(), "NotPaused".into()));
        assert!(!changes(&api, version).is_empty(), "{waiting}");
    }
}

#[tokio::test]
async fn paused_hub_does_not_repair_drift() {
    let api = paused_hub().await;
    api.edit(&key("services", "vault"), |it| it["spec"]["ports"][0]["port"] = json!(80));
    api.delete(&key("configmaps", "vault"));
    let version = api.version();
    reconcile_vault(&api).await;
    assert_eq!(changes(&api, version), [""; 0]);
    assert!(message(&api, "vault", "Ready").ends_with("pending changes: ConfigMap vault, Service vault"));
}

#[tokio::test]
async fn hub_paused_from_creation_gets_children_when_resumed() {
    let api = FakeApi::new();
    let mut resource = hub("vault", minimal_spec());
    resource["metadata"]["annotations"] = json!({ "notificationhub.rs/paused": "true" });
    api.create(resource);
    reconcile_vault(&api).await;
    assert!(CHILDREN.iter().all(|(resource, name)| api.get(&key(resource, name)).is_none()));
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Paused".into()));
    let shown = message(&api, "vault", "Ready");
    assert!(CHILDREN.iter().all(|(_, name)| shown.contains(name)), "{shown}");
    set_paused(&api, "");
    reconcile_vault(&api).await;
    assert!(CHILDREN.iter().all(|(resource, name)| api.get(&key(resource, name)).is_some()));
}

#[tokio::test]
async fn paused_hub_reports_missing_references() {
    let api = paused_hub().await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_signing_keys("missing"));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "ReferencesMissing".into()));
    assert_eq!(condition(&api, "vault", "Paused"), ("True".into(), "Paused".into()));
}

#[tokio::test]
async fn paused_hub_reports_changes_the_api_server_would_reject() {
    let api = paused_hub().await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["replicas"] = json!(0));
    let calls = {
        api.take_calls();
        reconcile_vault(&api).await;
        api.take_calls()
    };
    let apply = calls.iter().position(|call| call == "patch deployments vault").expect("a dry run");
    api.inject(apply, Fault::Refused(422));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "ChildRejected".into()));
}

#[tokio::test]
async fn paused_hub_being_deleted_causes_no_call() {
    let api = paused_hub().await;
    api.edit(&key(HUBS, "vault"), |hub| hub["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
    api.take_calls();
    reconcile_vault(&api).await;
    assert_eq!(api.take_calls(), [""; 0], "no call, because the garbage collector deletes the children");
    let finalizers = api.get(&key(HUBS, "vault")).expect("the hub")["metadata"]["finalizers"].clone();
    assert_eq!(finalizers, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn paused_annotation_change_triggers_a_reconcile() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    api.until("a Deployment", |api| api.get(&key("apps/deployments", "vault")).is_some()).await;
    set_paused(&api, "true");
    api.until("a pause", |api| has_condition(api, "vault", "Paused", ("True", "Paused"))).await;
    set_paused(&api, "false");
    api.until("the end of the pause", |api| has_condition(api, "vault", "Paused", ("False", "NotPaused"))).await;
    running.stop().await;
    let reasons: Vec<_> = api.all("events.k8s.io/events").iter().map(|event| event["reason"].clone()).collect();
    assert!(reasons.contains(&json!("Paused")), "{reasons:?}");
}
