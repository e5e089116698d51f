//! CRD skew: the Event about an older CRD, and the status without the fields that it lacks.

use std::time::Duration;

use notification_hub_operator::crd_skew;
use notification_hub_operator::leader::Leadership;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::common::fake_api::{FakeApi, Fault, current_schema};
use crate::common::fixtures::{
    HUBS, condition, context, context_led_by, hub, key, minimal_spec, reconcile_once, reconcile_until_ready,
    reconcile_vault,
};

const EVENTS: &str = "events.k8s.io/events";

/// Returns the schema without `spec.limits`, `spec.image.tag` and `status.keys`.
fn older_schema() -> Value {
    let mut schema = current_schema();
    for (within, field) in [("spec", "limits"), ("spec/properties/image", "tag"), ("status", "keys")] {
        let properties = schema.pointer_mut(&format!("/properties/{within}/properties")).expect("properties");
        properties.as_object_mut().expect("an object").remove(field).expect("a field");
    }
    schema
}

#[tokio::test(start_paused = true)]
async fn older_crd_event_lists_the_missing_fields() {
    let api = FakeApi::new();
    api.install_schema(older_schema());
    crd_skew::report(&context(&api)).await;
    let events = api.all(EVENTS);
    assert_eq!(events.len(), 1, "{events:#?}");
    let event = &events[0];
    assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!(crd_skew::EVENT_REASON)));
    assert_eq!(event["regarding"]["kind"], "CustomResourceDefinition");
    assert_eq!(event["regarding"]["name"], "notificationhubs.notificationhub.rs");
    assert_eq!(event["metadata"]["namespace"], "default", "the namespace of Events about cluster-scoped objects");
    let note = event["note"].as_str().expect("a note");
    assert!(note.ends_with(": spec.image.tag, spec.limits, status.keys"), "{note}");
}

#[tokio::test(start_paused = true)]
async fn current_crd_causes_no_event() {
    let api = FakeApi::new();
    crd_skew::report(&context(&api)).await;
    assert_eq!(api.changes_since(0), [""; 0]);
    assert_eq!(api.take_calls(), ["get openapi"]);
}

#[tokio::test(start_paused = true)]
async fn crd_replaced_during_the_check_causes_no_event() {
    let api = FakeApi::new();
    api.install_schema(older_schema());
    let replace = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        api.install_schema(current_schema());
    };
    let context = context(&api);
    tokio::join!(crd_skew::report(&context), replace);
    assert_eq!(api.changes_since(0), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn crd_check_is_retried_unless_forbidden() {
    for (fault, events) in
        [(Fault::Refused(404), 1), (Fault::Refused(503), 1), (Fault::Hangs, 1), (Fault::Refused(403), 0)]
    {
        let api = FakeApi::new();
        api.install_schema(older_schema());
        api.inject(0, fault);
        crd_skew::report(&context(&api)).await;
        assert_eq!(api.all(EVENTS).len(), events, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn older_crd_without_leadership_writes_no_event() {
    let api = FakeApi::new();
    api.install_schema(older_schema());
    let (_sender, deadline) = watch::channel(None);
    crd_skew::report(&context_led_by(&api, Leadership::Elected(deadline))).await;
    assert_eq!(api.changes_since(0), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn status_with_an_older_crd_omits_missing_fields() {
    let api = FakeApi::new();
    api.install_schema(older_schema());
    api.create(hub("vault", minimal_spec()));
    reconcile_until_ready(&api).await;
    let status = |api: &FakeApi| api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
    assert!(status(&api)["sendURL"].is_string() && status(&api).get("keys").is_none(), "{}", status(&api));

    let version = api.version();
    let context = context(&api);
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    assert_eq!(api.changes_since(version), [""; 0], "a status without the missing fields is up to date");

    api.install_schema(current_schema());
    reconcile_until_ready(&api).await;
    assert!(status(&api)["keys"].is_object(), "{}", status(&api));
}

#[tokio::test(start_paused = true)]
async fn status_write_with_older_crd_is_retried_after_fault() {
    let created = || {
        let api = FakeApi::new();
        api.install_schema(older_schema());
        api.create(hub("vault", minimal_spec()));
        api
    };
    let api = created();
    reconcile_vault(&api).await;
    let read = api.take_calls().iter().position(|call| call == "get openapi").expect("a read of the schema");
    for (index, fault) in [(read, Fault::Hangs), (read, Fault::Refused(503)), (read + 1, Fault::Refused(409))] {
        let api = created();
        let context = context(&api);
        api.inject(index, fault);
        reconcile_once(&api, &context, "vault").await.expect_err("a fault");
        reconcile_once(&api, &context, "vault").await.expect("a reconcile");
        assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Progressing".into()), "{fault:?}");
    }
}
