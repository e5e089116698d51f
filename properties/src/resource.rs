//! Checks what the operator builds of a `NotificationHub`. The API server may return any JSON, also of an older definition.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use notification_hub_crds::NotificationHub;
use notification_hub_crds::v1alpha1::NotificationHubSpec;
use notification_hub_operator::build::{DesiredObjects, build};
use notification_hub_operator::conditions::Diagnostics;
use notification_hub_operator::keys::{ConnectionTokenKey, KeyPair, KeyRing, RotationPlan, SigningKey};
use notification_hub_operator::model::HUB_CONTAINER;
use notification_hub_operator::model::defaults::Defaults;
use notification_hub_operator::model::inheritance::Inheritance;
use notification_hub_operator::model::references;
use notification_hub_operator::reconcile::dereference::{FetchedReferences, ManagedSecret, Secrets, StoredKeys};
use notification_hub_operator::reconcile::validate::validate;
use notification_hub_operator::third_party::{ServedKinds, ThirdPartyKind};

/// A value of every Secret, which must not appear in any other object.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ";

/// The entries of every Secret.
const ENTRIES: [(&str, &str); 4] = [
    ("url", "redis://:c2VjcmV0LXNlY3JldC1zZWNyZXQ@redis:6379"),
    ("password", SECRET),
    ("connectionString", "AccountName=vault;AccountKey=c2VjcmV0LXNlY3JldC1zZWNyZXQ="),
    ("shared.secret", "c2VjcmV0LXNlY3JldC1zZWNyZXQc2VjcmV0LXNlY3JldC1zZWNyZXQ"),
];

/// The time of the reconciles, in Unix seconds.
const NOW_UNIX_SECONDS: i64 = 1_700_000_000;

/// A private key that is used only in tests.
const PRIVATE_KEY: &str = include_str!("../../operator/tests/keys/p256-private.pem");

/// Checks that a resource has problems, or is built into consistent objects without secrets. A resource that is written and read
/// again must give the same result.
pub(crate) fn check(input: &[u8]) {
    let Ok(mut hub) = serde_json::from_slice::<NotificationHub>(input) else { return };
    if String::from_utf8_lossy(input).contains(SECRET) {
        return;
    }
    hub.metadata.uid.get_or_insert_with(|| "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c".to_owned());
    let is_everything_served = input.len().is_multiple_of(2);
    let made = build_objects(&hub, is_everything_served);
    let json = made.as_ref().map(public_json);
    assert!(!json.as_ref().is_ok_and(|json| json.contains(SECRET)));
    match &made {
        Ok(desired) => assert_consistent(&hub, desired),
        Err(messages) => {
            assert!(!messages.is_empty());
            assert!(messages.iter().all(|message| !message.is_empty() && !message.contains(SECRET)), "{messages:?}");
        }
    }
    let written = serde_json::to_string(&hub).expect("JSON");
    let again = serde_json::from_str(&written).expect("what was written");
    assert_eq!(build_objects(&again, is_everything_served).as_ref().map(public_json), json);
}

/// Returns the objects that a reconcile would write, or the problems that prevent it.
fn build_objects(hub: &NotificationHub, is_everything_served: bool) -> Result<DesiredObjects, Vec<String>> {
    static DEFAULTS: LazyLock<Defaults> = LazyLock::new(|| {
        let names = |text: &str| text.parse().expect("names");
        let inheritance =
            Inheritance { labels: names("team,app.kubernetes.io/*"), annotations: names("example.com/*") };
        Defaults {
            image: "registry.example.com/hub:1.0.0".parse().expect("an image"),
            pull_policy: None,
            pull_secrets: Vec::new(),
            inheritance,
        }
    });
    let served: ServedKinds = ThirdPartyKind::ALL.into_iter().filter(|_| is_everything_served).collect();
    let checked = validate(hub, fetch_references(&hub.spec), &DEFAULTS, &served).map_err(messages)?;
    let times = checked.hub.generated.as_ref().map(|plan| (RotationPlan::due(plan), plan.times()));
    assert_eq!(times.is_some(), hub.spec.auth.generate.is_some());
    build(&checked.hub)
}

fn messages(diagnostics: Diagnostics) -> Vec<String> {
    let messages = diagnostics.spec.into_iter().chain(diagnostics.references).map(|diagnostic| diagnostic.message);
    messages.chain(diagnostics.conflicts).collect()
}

/// Returns the objects that the spec references. Every Secret exists, with the same entries.
fn fetch_references(spec: &NotificationHubSpec) -> FetchedReferences {
    static RING: LazyLock<KeyRing> = LazyLock::new(|| {
        let pair = KeyPair::from_pem(PRIVATE_KEY).expect("a key");
        KeyRing { current: Some(SigningKey { pair, since: now() }), ..KeyRing::default() }
    });
    let secrets: Secrets = references::secrets(spec).into_iter().map(|name| (name.to_owned(), secret())).collect();
    let generated = spec.auth.generate.as_ref();
    let generated = generated.map(|_| ManagedSecret::Owned(StoredKeys { ring: RING.clone(), at: now() }));
    let token_key = spec.backplane.as_ref().and_then(|_| ConnectionTokenKey::from_bytes(SECRET.repeat(2).as_bytes()));
    FetchedReferences { secrets, generated, token_key: token_key.map(ManagedSecret::Owned) }
}

fn secret() -> Secret {
    let entries = ENTRIES.map(|(name, text)| (name.to_owned(), ByteString(text.as_bytes().to_vec())));
    Secret { data: Some(entries.into()), ..Secret::default() }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW_UNIX_SECONDS).expect("a time")
}

/// Returns the JSON of every object except Secrets.
fn public_json(desired: &DesiredObjects) -> String {
    let DesiredObjects { service_account, config_map, public_service, internal_service, metrics_service, .. } = desired;
    let DesiredObjects { pod_disruption_budget, ingress, http_route, service_monitor, pod_monitor, .. } = desired;
    let DesiredObjects { network_policy, deployment, horizontal_pod_autoscaler, scaled_object, .. } = desired;
    let within = (service_account, config_map, public_service, internal_service, metrics_service, deployment);
    let around = (pod_disruption_budget, ingress, http_route, service_monitor, pod_monitor, network_policy);
    serde_json::to_string(&(within, around, horizontal_pod_autoscaler, scaled_object)).expect("JSON")
}

/// Panics unless the objects have what the API server and the kubelet rely on.
fn assert_consistent(hub: &NotificationHub, desired: &DesiredObjects) {
    let name = hub.metadata.name.as_deref();
    let spec: &DeploymentSpec = desired.deployment.spec.as_ref().expect("a spec");
    let metadata: [&ObjectMeta; 4] = [
        &desired.deployment.metadata,
        &desired.config_map.metadata,
        &desired.public_service.metadata,
        &desired.service_account.metadata,
    ];
    let namespace = hub.metadata.namespace.as_deref().unwrap_or_default();
    for metadata in metadata {
        assert_eq!((metadata.name.as_deref(), metadata.namespace.as_deref()), (name, Some(namespace)));
        assert_eq!(metadata.owner_references.as_ref().map(Vec::len), Some(1));
    }
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref()).expect("labels");
    let selector = spec.selector.match_labels.as_ref().expect("a selector");
    assert!(selector.iter().all(|label| labels.get_key_value(label.0) == Some(label)), "pods are found: {labels:?}");
    let services = [Some(&desired.public_service), Some(&desired.metrics_service), desired.internal_service.as_ref()];
    for service in services.into_iter().flatten() {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).expect("a selector");
        assert!(selector.iter().all(|label| labels.get_key_value(label.0) == Some(label)), "{selector:?} {labels:?}");
    }

    let pod = spec.template.spec.as_ref().expect("a pod");
    let containers = pod.containers.iter().filter(|container| container.name == HUB_CONTAINER);
    assert_eq!(containers.count(), 1);
    let is_templated = hub.spec.pod_template.is_some();
    assert!(is_templated || pod.termination_grace_period_seconds.is_some_and(|seconds| seconds > 0));
    let volumes: Vec<&str> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    let hub_container = pod.containers.iter().find(|container| container.name == HUB_CONTAINER);
    let mounts = hub_container.and_then(|container| container.volume_mounts.as_ref());
    let is_mounted = |name: &str| volumes.contains(&name);
    assert!(is_templated || mounts.into_iter().flatten().all(|mount| is_mounted(&mount.name)), "{volumes:?}");
    assert_eq!(desired.jwt_secret.is_some(), hub.spec.auth.generate.is_some());
    assert_eq!(desired.tokens_secret.is_some(), hub.spec.backplane.is_some());
    let written = serde_json::to_value(&desired.deployment).expect("JSON");
    assert_eq!(serde_json::from_value::<Deployment>(written).as_ref().ok(), Some(&desired.deployment));
}
