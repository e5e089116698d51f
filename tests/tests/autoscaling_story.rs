//! The story of who decides how many pods a hub has, told in a real Kubernetes: the number passes from the spec to an
//! autoscaler and back.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::deployed::{delivers, generated_key};
use notification_hub_tests::namespace::{self, Namespace, PATIENCE};
use notification_hub_tests::redis_pod;
use notification_hub_tests::wait::until;
use serde_json::{Value, json};

const HUB: &str = "vault";

#[test]
fn the_number_of_pods_passes_to_an_autoscaler_and_back() {
    namespace::with("handover", |namespace| {
        redis_pod::start(namespace)?;
        namespace.apply(&hub(&json!({"replicas": 3})))?;
        namespace.wait_ready(HUB)?;
        let before = pods(namespace)?;
        ensure!(before.len() == 3, "{before:?}");

        namespace.apply(&hub(&json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}})))?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        let autoscaler = namespace.get("hpa", HUB)?["spec"].clone();
        ensure!(autoscaler["minReplicas"] == 2 && autoscaler["maxReplicas"] == 5, "{autoscaler}");
        ensure!(pods(namespace)? == before, "the switch is no change for any pod");
        ensure!(replicas(namespace)? == 3, "the number that there was is reset");

        // As an autoscaler does; the operator leaves it, also when it has something else to do.
        for decided in ["4", "2"] {
            namespace.kubectl(&["scale", "deployment", HUB, &format!("--replicas={decided}")])?;
            bent_and_repaired(namespace)?;
            ensure!(replicas(namespace)?.to_string() == decided, "{} instead of {decided}", replicas(namespace)?);
        }
        let refused = namespace.kubectl(&["scale", "notificationhub", HUB, "--replicas=3"]);
        let told = refused.err().context("the number is set beside an autoscaler")?;
        ensure!(format!("{told:#}").contains("give either replicas or autoscaling"), "{told:#}");

        namespace.apply(&hub(&json!({"replicas": 1})))?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        ensure!(replicas(namespace)? == 1 && namespace.get("hpa", HUB).is_err(), "the spec decides again");
        delivers(namespace, HUB, &generated_key(namespace, HUB)?)
    });
}

/// A hub with Redis, and with these fields.
fn hub(fields: &Value) -> Value {
    let of_redis = |key: &str| json!({"secretKeyRef": {"name": "redis", "key": key}});
    let mut hub = json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
        "spec": {
            "source": {"direct": {}}, "auth": {"generate": {}}, "drain": {"duration": "2s"},
            "backplane": {"redis": {"url": of_redis("url"), "username": "hub", "password": of_redis("password")}},
        },
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        hub["spec"][name.as_str()] = value.clone();
    }
    hub
}

/// The uids of the pods that are not on their way out.
fn pods(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let uid = |pod: Value| pod["metadata"]["uid"].as_str().map(str::to_owned).context("no uid");
    namespace.running_pods(HUB)?.into_iter().map(uid).collect()
}

/// How many pods the Deployment wants.
fn replicas(namespace: &Namespace) -> Result<i64> {
    namespace.get("deployment", HUB)?["spec"]["replicas"].as_i64().context("no number")
}

/// Gives the operator something to do for this hub, and waits until it is done.
fn bent_and_repaired(namespace: &Namespace) -> Result<()> {
    let service = namespace.get("service", "vault-metrics")?["spec"].clone();
    let bent = json!({"spec": {"ports": [{"name": "admin", "port": 9090, "targetPort": 1}]}}).to_string();
    namespace.kubectl(&["patch", "service", "vault-metrics", "--type=merge", "-p", &bent])?;
    until("the Service is repaired", PATIENCE, || {
        ensure!(namespace.get("service", "vault-metrics")?["spec"] == service, "not yet");
        Ok(())
    })
}
