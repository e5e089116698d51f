//! Exposure by an Ingress: its creation and deletion, and the condition `Exposed`.

use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    HUBS, condition, hub, key, message, minimal_spec, reconcile_until_ready, reconcile_vault,
};

fn with_ingress(ingress: Value) -> Value {
    let mut spec = minimal_spec();
    spec["expose"] = json!({ "ingress": ingress });
    spec
}

fn assert_exposed(api: &FakeApi, status: &str, reason: &str, expected: &str) {
    assert_eq!(condition(api, "vault", "Exposed"), (status.into(), reason.into()));
    let message = message(api, "vault", "Exposed");
    assert!(message.contains(expected), "{expected} in {message}");
    assert_eq!(condition(api, "vault", "Ready").0, "True", "Exposed does not affect Ready");
}

#[tokio::test]
async fn exposed_condition_follows_the_ingress_status() {
    let api = FakeApi::new();
    let ingress = key("networking.k8s.io/ingresses", "vault");
    api.create(hub("vault", minimal_spec()));
    reconcile_until_ready(&api).await;
    assert_exposed(&api, "False", "NotRequested", "neither ingress nor httpRoute");

    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_ingress(json!({ "host": "vault.example.com" })));
    reconcile_until_ready(&api).await;
    assert_exposed(&api, "False", "NoIngressClass", "expose.ingress.className");

    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_ingress(json!({ "className": "nginx" })));
    reconcile_until_ready(&api).await;
    assert_exposed(&api, "False", "NoAddress", "class nginx");

    api.edit(&ingress, |ingress| {
        ingress["status"] =
            json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }, { "hostname": "lb.example" }] } });
    });
    reconcile_until_ready(&api).await;
    assert_exposed(&api, "True", "Exposed", "192.0.2.1, lb.example");
    let paths = api.get(&ingress).expect("it")["spec"]["rules"][0]["http"]["paths"].clone();
    let paths: Vec<_> = paths.as_array().expect("paths").iter().map(|path| path["path"].clone()).collect();
    assert_eq!(paths, ["/notifications/hub", "/notifications/anonymous-hub"], "only these paths, and not /send");

    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = minimal_spec());
    reconcile_until_ready(&api).await;
    assert!(api.get(&ingress).is_none());
    assert_exposed(&api, "False", "NotRequested", "neither ingress nor httpRoute");
}

#[tokio::test]
async fn unowned_ingress_is_a_conflict_and_unchanged() {
    let api = FakeApi::new();
    let ingress = key("networking.k8s.io/ingresses", "vault");
    let metadata = json!({ "name": "vault", "namespace": "bitwarden" });
    api.create(json!({ "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {} }));
    api.create(hub("vault", with_ingress(json!({}))));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "Conflict"), ("True".into(), "ForeignObject".into()));
    assert_eq!(condition(&api, "vault", "Exposed"), ("False".into(), "NotCreated".into()));
    assert_eq!(api.get(&ingress).expect("it")["spec"], json!({}));
}
