//! Resources, and the context of a process for a reconcile.

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

/// Where an object of the namespace is.
pub fn key(resource: &str, name: &str) -> Key {
    Key::new(resource, NAMESPACE, name)
}

/// A resource with this name and spec.
pub fn hub(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1",
        "kind": "NotificationHub",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// The smallest spec, with the kind of key that is made quickly.
pub fn smallest() -> Value {
    json!({ "replicas": 1, "source": { "direct": {} }, "auth": { "generate": { "algorithm": "ES256" } } })
}

/// The smallest spec with keys of the user's.
pub fn with_signing_keys(secret: &str) -> Value {
    json!({ "source": { "direct": {} }, "auth": { "signingKeys": { "secretRef": { "name": secret } } } })
}

/// The content of the entry that [`with_queue`] refers to.
pub const CONNECTION_STRING: &str =
    "DefaultEndpointsProtocol=https;AccountName=vault;AccountKey=Y29ycmVjdC1ob3JzZQ==;EndpointSuffix=core.windows.net";

/// A spec with a queue, whose connection string is the entry `url` of a Secret. Without a child of the other source, or
/// a generated key.
pub fn with_queue(secret: &str) -> Value {
    let connection_string = json!({ "secretKeyRef": { "name": secret, "key": "url" } });
    json!({
        "replicas": 1,
        "source": { "azureQueue": { "connectionString": connection_string } },
        "auth": { "authority": "http://identity:5000" },
    })
}

/// The content of the entry `url` that [`with_redis`] refers to, and of a password beside it.
pub const REDIS_URL: &str = "rediss://redis.example.com:6380";
pub const REDIS_PASSWORD: &str = "battery-staple";
pub const CERTIFICATE: &str = include_str!("../keys/certificate.pem");

/// A spec with a backplane, whose address is the entry `url` of a Secret. Without a generated key.
pub fn with_redis(secret: &str, replicas: i32) -> Value {
    json!({
        "replicas": replicas,
        "source": { "direct": {} },
        "auth": { "authority": "http://identity:5000" },
        "backplane": { "redis": { "url": { "secretKeyRef": { "name": secret, "key": "url" } } } },
    })
}

/// The same with as many pods as are needed.
pub fn with_autoscaling(autoscaling: Value) -> Value {
    let mut spec = with_redis("redis", 1);
    let fields = spec.as_object_mut().expect("a spec");
    fields.remove("replicas");
    fields.insert("autoscaling".to_owned(), autoscaling);
    spec
}

/// A Secret of the user's.
pub fn secret(name: &str, entries: &[(&str, &str)]) -> Value {
    let entries = entries.iter().map(|(entry, text)| ((*entry).to_owned(), json!(STANDARD.encode(text))));
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "data": Value::Object(entries.collect()),
    })
}

/// A process's context, without an election.
pub fn context(api: &FakeApi) -> Arc<Context> {
    context_led_by(api, Leadership::NoElection)
}

/// A process's context.
pub fn context_led_by(api: &FakeApi, leadership: Leadership) -> Arc<Context> {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    Arc::new(Context::new(api.client(), leadership, "test".to_owned(), metrics, defaults()))
}

/// A configuration that says no more than an image.
pub fn defaults() -> Defaults {
    let image = "registry.example.com/hub:1.0.0".parse().expect("an image");
    Defaults { image, inheritance: Inheritance::default() }
}

/// Reconciles the hub `vault` once, in a process of its own.
pub async fn reconcile_vault(api: &FakeApi) {
    reconcile_once(api, &context(api), "vault").await.expect("a reconcile");
}

/// Reconciles the hub `vault`, rolls out its pods, and reconciles it again.
pub async fn settled(api: &FakeApi) {
    reconcile_vault(api).await;
    roll_out(api, "vault");
    reconcile_vault(api).await;
}

/// Reconciles the resource once, as it is now.
pub async fn reconcile_once(
    api: &FakeApi,
    context: &Arc<Context>,
    name: &str,
) -> Result<Action, reconcile::ReconcileError> {
    let object = api.get(&key(HUBS, name)).expect("the resource");
    let guarded: DeserializeGuard<NotificationHub> = serde_json::from_value(object).expect("metadata at least");
    controller::reconcile(Arc::new(guarded), context.clone()).await
}

/// A condition's `status` and `reason`.
pub fn condition(api: &FakeApi, name: &str, kind: &str) -> (String, String) {
    let found = find_condition(api, name, kind).unwrap_or_else(|| panic!("no condition {kind}"));
    let text = |field: &str| found[field].as_str().expect("a text").to_owned();
    (text("status"), text("reason"))
}

/// A condition's message.
pub fn message(api: &FakeApi, name: &str, kind: &str) -> String {
    find_condition(api, name, kind).and_then(|found| found["message"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether a condition has this `status` and `reason`.
pub fn has_condition(api: &FakeApi, name: &str, kind: &str, expected: (&str, &str)) -> bool {
    find_condition(api, name, kind).is_some_and(|found| found["status"] == expected.0 && found["reason"] == expected.1)
}

fn find_condition(api: &FakeApi, name: &str, kind: &str) -> Option<Value> {
    let object = api.get(&key(HUBS, name))?;
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind).cloned()
}

/// The hub's configuration in a Deployment.
pub fn config_text(deployment: &Deployment) -> &str {
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let annotations = template.and_then(|metadata| metadata.annotations.as_ref());
    annotations.and_then(|annotations| annotations.get(CONFIG_ANNOTATION)).expect("a configuration")
}

/// Plays the Deployment controller: every pod that is wanted is there and ready.
pub fn roll_out(api: &FakeApi, name: &str) {
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
