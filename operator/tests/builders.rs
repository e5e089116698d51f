//! The built objects of a table of specs equal the files in `golden/`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p notification-hub-operator` updates the files.

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::jiff::Timestamp;
use notification_hub_operator::build::{DesiredObjects, build};
use notification_hub_operator::keys::{ConnectionTokenKey, KeyPair, KeyRing, SigningKey};
use notification_hub_operator::model::ValidatedHub;
use notification_hub_operator::reconcile::dereference::{FetchedReferences, ManagedSecret, StoredKeys};
use notification_hub_operator::reconcile::validate::validate;
use notification_hub_operator::third_party::ThirdPartyKind;
use serde_json::{Value, json};

use crate::common::fixtures::{
    CERTIFICATE, CONNECTION_STRING, P256_PRIVATE, P256_PUBLIC, REDIS_PASSWORD, REDIS_URL, defaults, hub, secret,
    with_autoscaling, with_queue, with_redis,
};

/// Returns the specs by the names of their golden files.
pub fn specs() -> BTreeMap<&'static str, Value> {
    let source = json!({ "direct": {} });
    let generate = json!({ "generate": { "algorithm": "ES256" } });
    let signing = json!({ "signingKeys": { "secretRef": { "name": "keys" } } });
    let both = json!({ "generate": { "algorithm": "ES256" }, "signingKeys": { "secretRef": { "name": "keys" } } });
    BTreeMap::from([
        ("minimal", json!({ "source": source, "auth": generate })),
        ("stopped", json!({ "replicas": 0, "source": source, "auth": generate })),
        ("signing-keys", json!({ "replicas": 1, "source": source, "auth": signing })),
        ("queue", with_queue("storage")),
        (
            "queue-by-identity",
            json!({
                "source": { "azureQueue": {
                    "queueName": "pushes", "poisonQueueName": "pushes-bad",
                    "workloadIdentity": {
                        "accountURL": "https://vault.queue.core.windows.net",
                        "clientID": "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c",
                    },
                } },
                "auth": generate,
                "podTemplate": {
                    "metadata": { "labels": { "azure.workload.identity/use": "false", "team": "identity" } },
                    "spec": { "containers": [{
                        "name": "hub",
                        "env": [
                            { "name": "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__QUEUE_NAME", "value": "stolen" },
                            { "name": "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__WORKERS", "value": "16" },
                        ],
                        "ports": [{ "containerPort": 5001, "name": "stolen" }],
                    }] },
                },
            }),
        ),
        (
            "authority",
            json!({
                "source": source,
                "auth": {
                    "authority": "http://identity:5000", "issuer": "https://vault.example.com",
                    "audiences": ["api", "push"], "clockSkew": "1m30s",
                },
                "catchUp": { "enabled": false, "window": "30m" },
                "limits": {
                    "maxConnections": 100000, "maxConnectionsPerUser": 50, "maxConnectionsPerIP": 200,
                    "trustedProxies": ["10.0.0.0/8", "fd00::1"],
                },
                "log": { "level": "warn,notification_hub=debug", "format": "text" },
            }),
        ),
        ("replicas", with_redis("redis", 3)),
        (
            "autoscaled",
            with_autoscaling(json!({ "minReplicas": 2, "maxReplicas": 20, "targetConnectionsPerReplica": 100000 })),
        ),
        ("autoscaled-by-default", with_autoscaling(json!({ "maxReplicas": 5 }))),
        ("scaled-by-keda", with_autoscaling(json!({ "maxReplicas": 5, "keda": {} }))),
        (
            "scaled-by-triggers",
            with_autoscaling(json!({ "minReplicas": 2, "maxReplicas": 9, "keda": { "triggers": [{
                "type": "prometheus", "metadata": { "serverAddress": "http://prometheus:9090", "threshold": "50000" },
            }] } })),
        ),
        (
            "scaled-by-queue-length",
            json!({
                "source": { "azureQueue": { "connectionString": { "secretKeyRef": { "name": "storage", "key": "url" } } } },
                "auth": { "authority": "http://identity:5000" },
                "autoscaling": { "maxReplicas": 1, "keda": {} },
            }),
        ),
        (
            "replicas-customized",
            json!({
                "replicas": 1,
                "source": source,
                "auth": signing,
                "backplane": { "redis": {
                    "url": { "secretKeyRef": { "name": "redis", "key": "url" } },
                    "username": "hub",
                    "password": { "secretKeyRef": { "name": "redis", "key": "password" } },
                    "ca": { "secretKeyRef": { "name": "redis", "key": "ca.crt" } },
                    "channelPrefix": "Vault",
                } },
                "drain": { "duration": "1m30s" },
                "rollout": { "maxSurge": 2 },
                "podTemplate": { "spec": {
                    "topologySpreadConstraints": [{
                        "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 2,
                    }, {
                        "topologyKey": "example.com/rack", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1,
                    }],
                    "containers": [{ "name": "hub", "env": [
                        { "name": "NOTIFICATION_HUB__BACKPLANE__REDIS__URL", "value": "redis://stolen" },
                        { "name": "NOTIFICATION_HUB__DRAIN__TIMEOUT", "value": "1h" },
                        { "name": "NOTIFICATION_HUB__BACKPLANE__MAX_PENDING_PUSHES", "value": "500" },
                    ] }],
                } },
            }),
        ),
        (
            "networking",
            json!({
                "replicas": 1,
                "source": { "direct": { "allowFrom": [{ "podSelector": { "matchLabels": { "app": "api" } } }] } },
                "auth": { "generate": { "algorithm": "ES256" } },
                "service": {
                    "type": "LoadBalancer",
                    "ipFamilyPolicy": "RequireDualStack",
                    "ipFamilies": ["IPv6", "IPv4"],
                    "labels": { "team": "identity", "app.kubernetes.io/component": "notifications" },
                    "annotations": { "example.com/pool": "public" },
                },
                "networkPolicy": { "enabled": true },
                "expose": { "ingress": {
                    "className": "nginx", "host": "vault.example.com", "tlsSecretName": "vault-tls",
                    "labels": { "team": "identity" }, "annotations": { "example.com/read-timeout": "120s" },
                } },
            }),
        ),
        (
            "routed-and-monitored",
            json!({
                "replicas": 1,
                "source": source,
                "auth": generate,
                "expose": { "httpRoute": {
                    "parentRefs": [{ "name": "public", "namespace": "gateways", "sectionName": "https" }],
                    "hostnames": ["vault.example.com"],
                    "labels": { "team": "identity" }, "annotations": { "example.com/a": "b" },
                } },
                "monitoring": {
                    "serviceMonitor": { "enabled": true, "labels": { "release": "prometheus" }, "interval": "30s" },
                    "podMonitor": { "enabled": true },
                },
            }),
        ),
        (
            "queue-with-network-policy",
            json!({
                "source": { "azureQueue": { "connectionString": { "secretKeyRef": { "name": "storage", "key": "url" } } } },
                "auth": { "generate": { "algorithm": "ES256" } },
                "networkPolicy": { "enabled": true },
            }),
        ),
        (
            "customized",
            json!({
                "replicas": 1,
                "source": source,
                "auth": both,
                "installationID": "6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1",
                "image": {
                    "repository": "mirror.example.com:5000/hub", "tag": "2", "pullPolicy": "IfNotPresent",
                    "pullSecrets": [{ "name": "registry" }],
                },
                "podTemplate": {
                    "metadata": { "labels": { "team": "identity" }, "annotations": { "note": "mine" } },
                    "spec": {
                        "nodeSelector": { "disk": "fast" },
                        "tolerations": [{ "key": "dedicated", "operator": "Exists" }],
                        "volumes": [{ "name": "scratch", "emptyDir": {} }],
                        "containers": [
                            {
                                "name": "hub",
                                "env": [{ "name": "NOTIFICATION_HUB__REACTORS", "value": "2" }],
                                "resources": { "limits": { "memory": "1Gi" } },
                                "volumeMounts": [{ "name": "scratch", "mountPath": "/tmp" }],
                                "ports": [{ "containerPort": 5000, "name": "stolen" }, { "containerPort": 6000 }],
                            },
                            { "name": "sidecar", "image": "sidecar:1" },
                        ],
                    },
                },
            }),
        ),
    ])
}

/// Builds the objects of a spec, with a constant key.
pub fn built(spec: Value) -> DesiredObjects {
    build(&validated(spec)).expect("objects")
}

/// Validates a spec of the table or of a sample, with all objects that it refers to.
pub fn validated(spec: Value) -> ValidatedHub {
    let mut resource = hub("vault", spec);
    resource["metadata"]["uid"] = json!("6a8b9d3e-0000-4000-8000-000000000001");
    let resource: notification_hub_crds::NotificationHub = serde_json::from_value(resource).expect("a hub");
    let at = Timestamp::from_second(1_767_225_600).expect("a time");
    let pair = KeyPair::from_pem(P256_PRIVATE).expect("a key");
    let ring = KeyRing { current: Some(SigningKey { pair, since: at }), ..KeyRing::default() };
    let secrets = [
        secret("keys", &[("a.pem", P256_PUBLIC)]),
        secret("vault-signing-keys", &[("a.pem", P256_PUBLIC)]),
        secret("storage", &[("url", CONNECTION_STRING), ("connectionString", CONNECTION_STRING)]),
        secret("redis", &[("url", REDIS_URL), ("password", REDIS_PASSWORD), ("ca.crt", CERTIFICATE)]),
        secret("redis-tls", &[("ca.crt", CERTIFICATE)]),
    ];
    let secrets = secrets.map(|secret| {
        let name = secret["metadata"]["name"].as_str().expect("a name").to_owned();
        (name, serde_json::from_value(secret).expect("a Secret"))
    });
    let token_key = ConnectionTokenKey::from_bytes(&[7; 32]).expect("a key");
    let fetched = FetchedReferences {
        secrets: secrets.into(),
        generated: resource.spec.auth.generate.is_some().then_some(ManagedSecret::Owned(StoredKeys { ring, at })),
        token_key: resource.spec.backplane.is_some().then_some(ManagedSecret::Owned(token_key)),
    };
    let served = ThirdPartyKind::ALL.into_iter().collect();
    validate(&resource, fetched, &defaults(), &served).expect("a valid spec").hub
}

/// Returns the objects as YAML.
pub fn documents(desired: DesiredObjects) -> String {
    // Destructured without `..`, so that a new kind causes a compile error here.
    let DesiredObjects {
        service_account,
        config_map,
        jwt_secret,
        tokens_secret,
        public_service,
        internal_service,
        metrics_service,
        pod_disruption_budget,
        ingress,
        http_route,
        service_monitor,
        pod_monitor,
        network_policy,
        deployment,
        is_autoscaled: _,
        horizontal_pod_autoscaler,
        scaled_object,
    } = desired;
    let jwt_secret = jwt_secret.map(|keys| {
        let mut secret = keys.secret;
        // The golden files do not have private keys, not even those of tests.
        let private = secret.data.as_mut().and_then(|data| data.get_mut("private.pem")).expect("a private key");
        private.0 = b"private".to_vec();
        serde_json::to_value(secret).expect("JSON")
    });
    let objects = [
        Some(serde_json::to_value(service_account)),
        Some(serde_json::to_value(config_map)),
        Some(serde_json::to_value(public_service)),
        internal_service.map(serde_json::to_value),
        Some(serde_json::to_value(metrics_service)),
        tokens_secret.map(serde_json::to_value),
        pod_disruption_budget.map(serde_json::to_value),
        ingress.map(serde_json::to_value),
        http_route.map(serde_json::to_value),
        service_monitor.map(serde_json::to_value),
        pod_monitor.map(serde_json::to_value),
        network_policy.map(serde_json::to_value),
        Some(serde_json::to_value(deployment)),
        horizontal_pod_autoscaler.map(serde_json::to_value),
        scaled_object.map(serde_json::to_value),
    ];
    let values = objects.into_iter().flatten().map(|object| object.expect("JSON")).chain(jwt_secret);
    let texts = values.map(|value| serde_saphyr::to_string(&value).expect("YAML"));
    texts.collect::<Vec<_>>().join("---\n")
}

#[test]
fn built_objects_equal_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, spec) in specs() {
        let path = folder.join(format!("{name}.yaml"));
        let text = documents(built(spec));
        for secret in ["Y29ycmVjdC1ob3JzZQ", REDIS_URL, REDIS_PASSWORD] {
            assert!(!text.contains(secret), "{name}: a connection string or a password is in the objects");
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("a golden file can be written");
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == golden,
            "{name} differs from {}; if that is intended, run UPDATE_GOLDEN=1 cargo test -p notification-hub-operator:\n{text}",
            path.display()
        );
    }
    let files = std::fs::read_dir(&folder).expect("the folder").count();
    assert_eq!(files, specs().len(), "a golden file without a spec");
}
