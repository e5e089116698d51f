//! The controller with its watches.

use std::sync::Arc;

use notification_hub_operator::context::Context;
use notification_hub_operator::controller;
use notification_hub_operator::leader::Leadership;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, P256_PUBLIC, complete_rollout, context, context_led_by, has_condition, hub, key,
    message, minimal_spec, reconcile_once, secret, with_queue, with_signing_keys,
};

/// A running controller.
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    pub context: Arc<Context>,
}

impl Running {
    pub fn start(api: &FakeApi, namespaces: &[&str]) -> Running {
        Running::with(api, namespaces, context(api))
    }

    pub fn with(api: &FakeApi, namespaces: &[&str], context: Arc<Context>) -> Running {
        let namespaces: Vec<String> = namespaces.iter().map(|name| (*name).to_owned()).collect();
        let (stop, stopped) = watch::channel(false);
        let (client, shared) = (api.client(), context.clone());
        let task = tokio::spawn(async move { controller::run(client, &namespaces, shared, stopped).await });
        Running { stop, task, context }
    }

    /// Stops the controller, and waits for its running reconciles.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("no panic");
    }
}

async fn until_ready(api: &FakeApi, name: &str) {
    api.until("a Deployment", |api| api.get(&key("apps/deployments", name)).is_some()).await;
    complete_rollout(api, name);
    api.until("Ready", |api| has_condition(api, name, "Ready", ("True", "Available"))).await;
}

#[tokio::test(start_paused = true)]
async fn hub_becomes_ready_and_changed_children_are_restored() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    for (resource, name) in CHILDREN {
        api.delete(&key(resource, name));
        api.until("the child is back", |api| api.get(&key(resource, name)).is_some()).await;
    }
    until_ready(&api, "vault").await;
    api.edit(&key("services", "vault"), |it| it["spec"]["ports"][0]["port"] = json!(80));
    let port = |api: &FakeApi| api.get(&key("services", "vault")).expect("it")["spec"]["ports"].clone();
    api.until("the port is repaired", |api| port(api)[0]["port"] == 5000 && port(api)[1].is_null()).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn malformed_hub_is_reported_and_blocks_no_other() {
    let api = FakeApi::new();
    api.create(hub("broken", json!({ "source": "nowhere" })));
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    let reported = |api: &FakeApi| {
        api.all("events.k8s.io/events").into_iter().any(|event| {
            event["reason"] == "Malformed" && event["type"] == "Warning" && event["regarding"]["name"] == "broken"
        })
    };
    api.until("a Warning", reported).await;
    let metrics = running.context.metrics.text().expect("metrics");
    assert!(!metrics.contains("notification_hub_operator_malformed_resources_total 0"), "{metrics}");
    api.edit(&key(HUBS, "broken"), |it| it["spec"] = minimal_spec());
    until_ready(&api, "broken").await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn missing_reference_is_resolved_when_the_secret_appears() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", with_signing_keys("keys")));
    let reason = |kind, status, reason| move |api: &FakeApi| has_condition(api, "vault", kind, (status, reason));
    api.until("the missing Secret is reported", reason("ReferencesResolved", "False", "SecretNotFound")).await;
    api.create(secret("keys", &[("a.pem", "hello")]));
    api.until("the invalid key is reported", reason("ReferencesResolved", "False", "InvalidKey")).await;
    api.edit(&key("secrets", "keys"), |it| *it = secret("keys", &[("a.pem", P256_PUBLIC)]));
    api.until("the references are resolved", reason("ReferencesResolved", "True", "Resolved")).await;
    until_ready(&api, "vault").await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn late_connection_string_completes_switch_to_the_queue_source() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_queue("storage"));
    let reason =
        |status, reason| move |api: &FakeApi| has_condition(api, "vault", "ReferencesResolved", (status, reason));
    api.until("the missing Secret is reported", reason("False", "SecretNotFound")).await;
    api.create(secret("storage", &[("key", CONNECTION_STRING)]));
    api.until("the missing entry is reported", reason("False", "SecretEntryMissing")).await;
    assert!(api.get(&key("services", "vault-internal")).is_some(), "kept until the new source is complete");
    api.edit(&key("secrets", "storage"), |it| *it = secret("storage", &[("url", CONNECTION_STRING)]));
    api.until("the references are resolved", reason("True", "Resolved")).await;
    until_ready(&api, "vault").await;
    let gone = |api: &FakeApi| api.get(&key("services", "vault-internal")).is_none();
    api.until("the internal Service is gone", gone).await;
    assert!(api.get(&key("secrets", "vault-jwt")).is_none());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn conflict_ends_when_the_unowned_object_is_deleted() {
    let api = FakeApi::new();
    let metadata = json!({ "name": "vault-internal", "namespace": "bitwarden" });
    api.create(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {} }));
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    api.until("a conflict", |api| has_condition(api, "vault", "Conflict", ("True", "ForeignObject"))).await;
    api.delete(&key("services", "vault-internal"));
    api.until("no conflict", |api| has_condition(api, "vault", "Conflict", ("False", "NoConflict"))).await;
    until_ready(&api, "vault").await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hub_outside_watched_namespaces_is_ignored() {
    let api = FakeApi::new();
    let running = Running::start(&api, &["bitwarden", "second"]);
    let elsewhere = |namespace: &str| {
        let mut it = hub("vault", minimal_spec());
        it["metadata"]["namespace"] = json!(namespace);
        api.create(it);
    };
    elsewhere("unwatched");
    elsewhere("second");
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    let deployed = |api: &FakeApi, namespace: &str| {
        api.all("apps/deployments").iter().any(|each| each["metadata"]["namespace"] == namespace)
    };
    api.until("the second namespace", |api| deployed(api, "second")).await;
    assert!(!deployed(&api, "unwatched"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn ready_hub_causes_no_write_during_resyncs() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    // The Event is written after the status.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let version = api.version();
    // An hour of resyncs, on the paused clock of tokio.
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    assert_eq!(api.changes_since(version), [""; 0]);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn controller_without_an_initial_list_stops_on_request() {
    let api = FakeApi::new();
    let (_cut, is_cut) = watch::channel(true);
    let (stop, stopped) = watch::channel(false);
    let (client, context) = (api.client_behind(is_cut), context(&api));
    let task = tokio::spawn(async move { controller::run(client, &[], context, stopped).await });
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    stop.send_replace(true);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), task).await;
    ended.expect("it ends").expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn forbidden_read_is_reported_in_status_event_and_metric() {
    let api = FakeApi::new();
    api.refuse("get secrets", 403);
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    api.until("the failure is reported", |api| has_condition(api, "vault", "Ready", ("False", "ReconcileError"))).await;
    let shown = message(&api, "vault", "Ready");
    assert!(shown.starts_with("dereference: Secret vault-jwt: "), "{shown}");
    let warned = |api: &FakeApi| {
        let events = api.all("events.k8s.io/events");
        events.iter().any(|event| event["reason"] == "ReconcileError" && event["type"] == "Warning")
    };
    api.until("a Warning", warned).await;
    let series =
        "notification_hub_operator_hub_condition{condition=\"Ready\",hub=\"vault\",hub_namespace=\"bitwarden\"}";
    let metrics = || running.context.metrics.text().expect("metrics");
    assert!(metrics().contains(&format!("{series} 0")), "{}", metrics());
    api.allow("get secrets");
    until_ready(&api, "vault").await;
    assert!(metrics().contains(&format!("{series} 1")), "{}", metrics());
    api.delete(&key(HUBS, "vault"));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!metrics().contains(series), "{}", metrics());
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn transient_failure_is_reported_once_until_it_ends() {
    let api = FakeApi::new();
    let context = context(&api);
    api.create(hub("vault", minimal_spec()));
    let running = Running::with(&api, &[], context);
    until_ready(&api, "vault").await;
    let version = api.version();
    api.refuse("get services", 500);
    api.edit(&key("configmaps", "vault"), |it| it["data"]["log-level"] = json!("trace"));
    api.until("the failure is reported", |api| has_condition(api, "vault", "Ready", ("False", "ReconcileError"))).await;
    let shown = api.changes_since(version).iter().filter(|change| change.contains("notificationhubs")).count();
    assert_eq!(shown, 1, "{:?}", api.changes_since(version));
    api.allow("get services");
    api.until("the failure is over", |api| has_condition(api, "vault", "Ready", ("True", "Available"))).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn status_write_triggers_no_reconcile() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    api.take_calls();
    api.edit(&key(HUBS, "vault"), |it| it["status"]["url"] = json!("http://elsewhere"));
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    let calls = api.take_calls();
    assert!(calls.iter().all(|call| call.contains("pods")), "{calls:#?}");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn changes_during_dropped_watches_are_reconciled() {
    let api = FakeApi::new();
    let running = Running::start(&api, &[]);
    api.create(hub("vault", minimal_spec()));
    until_ready(&api, "vault").await;
    for (resource, name) in CHILDREN {
        let child = key(resource, name);
        api.drop_watches(|store| drop(store.delete(&child, None).expect("it was there")));
        api.until("the child is back", |api| api.get(&child).is_some()).await;
    }
    api.drop_watches(|store| {
        let mut edited = store.get(&key(HUBS, "vault")).expect("the hub").clone();
        edited["spec"]["replicas"] = json!(0);
        store.replace(key(HUBS, "vault"), edited).expect("an edit");
    });
    let replicas = |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["replicas"].clone();
    api.until("the edit is applied", |api| replicas(api) == 0).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn reconcile_without_leadership_writes_nothing() {
    let api = FakeApi::new();
    api.create(hub("vault", minimal_spec()));
    let (sender, deadline) = watch::channel(Some(tokio::time::Instant::now()));
    let context = context_led_by(&api, Leadership::Elected(deadline));
    let version = api.version();
    let error = reconcile_once(&api, &context, "vault").await.expect_err("the leadership has ended");
    assert_eq!((error.step(), error.category()), ("apply", "not_leading"));
    api.create(hub("broken", json!({ "source": "nowhere" })));
    let version = version + 1;
    reconcile_once(&api, &context, "broken").await.expect("only an Event to write");
    assert_eq!(api.changes_since(version), [""; 0]);
    sender.send_replace(Some(tokio::time::Instant::now() + std::time::Duration::from_secs(10)));
    reconcile_once(&api, &context, "vault").await.expect("a reconcile of the leader");
}
