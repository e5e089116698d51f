//! Resources, and the context of reconciles.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use notification_hub_crds::{CONFIG_ANNOTATION, NotificationHub};
use notification_hub_operator::context::Context;
use notification_hub_operator::controller;
use notification_hub_operator::leader::Leadership;
use notification_hub_operator::model::defaults::Defaults;
use notification_hub_operator::model::inheritance::Inheritance;
use notification_hub_operator::reconcile;
use notification_hub_operator::telemetry::metrics::Metrics;
use serde_json::{Value, json};

use super::fake_api::FakeApi;
use super::store::Key;

pub const NAMESPACE: &str = "bitwarden";
pub const HUBS: &str = "notificationhub.rs/notificationhubs";
pub const P256_PRIVATE: &str = include_str!("../keys/p256-private.pem");
pub const P256_PUBLIC: &str = include_str!("../keys/p256-public.pem");

/// Every child of the hub `vault` with generated keys.
pub const CHILDREN: [(&str, &str); 7] = [
    ("serviceaccounts", "vault"),
    ("configmaps", "vault"),
    ("secrets", "vault-jwt"),
    ("services", "vault"),
    ("services", "vault-internal"),
    ("services", "vault-metrics"),
    ("apps/deployments", "vault"),
];

/// Returns the key of an object in the namespace.
pub fn key(resource: &str, name: &str) -> Key {
    Key::new(resource, NAMESPACE, name)
}

/// Returns a resource with this name and spec.
pub fn hub(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1",
        "kind": "NotificationHub",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// Returns a minimal spec, with the algorithm whose keys are generated quickly.
pub fn minimal_spec() -> Value {
    json!({ "replicas": 1, "source": { "direct": {} }, "auth": { "generate": { "algorithm": "ES256" } } })
}

/// Returns a minimal spec with keys of the user.
pub fn with_signing_keys(secret: &str) -> Value {
    json!({ "source": { "direct": {} }, "auth": { "signingKeys": { "secretRef": { "name": secret } } } })
}

/// Content of the entry that [`with_queue`] refers to.
pub const CONNECTION_STRING: &str =
    "DefaultEndpointsProtocol=https;AccountName=vault;AccountKey=Y29ycmVjdC1ob3JzZQ==;EndpointSuffix=core.windows.net";

/// Returns a spec with a queue, whose connection string is the entry `url` of a Secret. It has no generated keys.
pub fn with_queue(secret: &str) -> Value {
    let connection_string = json!({ "secretKeyRef": { "name": secret, "key": "url" } });
    json!({
        "replicas": 1,
        "source": { "azureQueue": { "connectionString": connection_string } },
        "auth": { "authority": "http://identity:5000" },
    })
}

/// Content of the entry `url` that [`with_redis`] refers to, and of the entry of a password.
pub const REDIS_URL: &str = "rediss://redis.example.com:6380";
pub const REDIS_PASSWORD: &str = "battery-staple";
pub const CERTIFICATE: &str = include_str!("../keys/certificate.pem");

/// Returns a spec with a backplane, whose URL is the entry `url` of a Secret. It has no generated keys.
pub fn with_redis(secret: &str, replicas: i32) -> Value {
    json!({
        "replicas": replicas,
        "source": { "direct": {} },
        "auth": { "authority": "http://identity:5000" },
        "backplane": { "redis": { "url": { "secretKeyRef": { "name": secret, "key": "url" } } } },
    })
}

/// Returns a spec like [`with_redis`] with autoscaling.
pub fn with_autoscaling(autoscaling: Value) -> Value {
    let mut spec = with_redis("redis", 1);
    let fields = spec.as_object_mut().expect("a spec");
    fields.remove("replicas");
    fields.insert("autoscaling".to_owned(), autoscaling);
    spec
}

/// Returns a Secret of the user.
pub fn secret(name: &str, entries: &[(&str, &str)]) -> Value {
    let entries = entries.iter().map(|(entry, text)| ((*entry).to_owned(), json!(STANDARD.encode(text))));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "data": Value::Object(entries.collect()),
    })
}

/// Returns the context of a process without leader election.
pub fn context(api: &FakeApi) -> Arc<Context> {
    context_led_by(api, Leadership::NoElection)
}

/// Returns the context of a process with this leadership.
pub fn context_led_by(api: &FakeApi, leadership: Leadership) -> Arc<Context> {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    Arc::new(Context::new(api.client(), leadership, "test".to_owned(), metrics, defaults()))
}

/// Returns defaults with an image and without inherited labels.
pub fn defaults() -> Defaults {
    let image = "registry.example.com/hub:1.0.0".parse().expect("an image");
    Defaults { image, pull_policy: None, pull_secrets: Vec::new(), inheritance: Inheritance::default() }
}

/// Reconciles the hub `vault` once, with a new context.
pub async fn reconcile_vault(api: &FakeApi) {
    reconcile_once(api, &context(api), "vault").await.expect("a reconcile");
}

/// Reconciles the hub `vault`, rolls out its pods, and reconciles it again.
pub async fn reconcile_until_ready(api: &FakeApi) {
    reconcile_vault(api).await;
    complete_rollout(api, "vault");
    reconcile_vault(api).await;
}

/// Reconciles a resource once, in its current state.
pub async fn reconcile_once(
    api: &FakeApi,
    context: &Arc<Context>,
    name: &str,
) -> Result<Action, reconcile::ReconcileError> {
    let object = api.get(&key(HUBS, name)).expect("the resource");
    let guarded: DeserializeGuard<NotificationHub> = serde_json::from_value(object).expect("metadata at least");
    controller::reconcile(Arc::new(guarded), context.clone()).await
}

/// Returns the `status` and `reason` of a condition.
pub fn condition(api: &FakeApi, name: &str, kind: &str) -> (String, String) {
    let found = find_condition(api, name, kind).unwrap_or_else(|| panic!("no condition {kind}"));
    let text = |field: &str| found[field].as_str().expect("a text").to_owned();
    (text("status"), text("reason"))
}

/// Returns the message of a condition, or an empty text.
pub fn message(api: &FakeApi, name: &str, kind: &str) -> String {
    find_condition(api, name, kind).and_then(|found| found["message"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns whether a condition has this `status` and `reason`.
pub fn has_condition(api: &FakeApi, name: &str, kind: &str, expected: (&str, &str)) -> bool {
    find_condition(api, name, kind).is_some_and(|found| found["status"] == expected.0 && found["reason"] == expected.1)
}

fn find_condition(api: &FakeApi, name: &str, kind: &str) -> Option<Value> {
    let object = api.get(&key(HUBS, name))?;
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind).cloned()
}

/// Returns the configuration of the hub in a Deployment.
pub fn config_text(deployment: &Deployment) -> &str {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let annotations = template.and_then(|metadata| metadata.annotations.as_ref());
    annotations.and_then(|annotations| annotations.get(CONFIG_ANNOTATION)).expect("a configuration")
}

/// Acts as the Deployment controller: every desired pod becomes ready.
pub fn complete_rollout(api: &FakeApi, name: &str) {
    api.edit(&key("apps/deployments", name), |deployment| {
        let replicas = deployment["spec"]["replicas"].clone();
        deployment["status"] = json!({
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [{ "type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable" }],
        });
    });
}
