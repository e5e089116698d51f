//! Autoscaling in a real Kubernetes cluster: the number of pods passes from the spec to an autoscaler and back, and CPU load and
//! connections scale a hub up.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::deployed::{check_delivery, generated_signer, start_workload, wait_pods};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::metrics_adapter::MetricsAdapter;
use notification_hub_tests::metrics_server::MetricsServer;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::redis_pod;
use notification_hub_tests::wait::until;
use serde_json::{Value, json};

const HUB: &str = "vault";

/// The timeout of an autoscaler's decision. Pod metrics are collected every 10 seconds, and autoscalers run every 15.
const AUTOSCALER_TIMEOUT: Duration = Duration::from_secs(300);

/// The maximum duration of a delivery without faults.
const MAX_DELAY: Duration = Duration::from_secs(5);

#[test]
fn replicas_pass_to_autoscaler_and_back_to_spec() {
    namespace::with_namespace("handover", |namespace| {
        redis_pod::start(namespace)?;
        namespace.apply(&hub(&json!({"replicas": 3})))?;
        namespace.wait_ready(HUB)?;
        let before = pods(namespace)?;
        ensure!(before.len() == 3, "{before:?}");

        namespace.apply(&hub(&json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 5}})))?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        let autoscaler = namespace.get("hpa", HUB)?["spec"].clone();
        ensure!(autoscaler["minReplicas"] == 2 && autoscaler["maxReplicas"] == 5, "{autoscaler}");
        ensure!(pods(namespace)? == before, "a pod was replaced");
        ensure!(replicas(namespace)? == 3, "the number of pods was reset");

        // The operator keeps the number of an autoscaler, also while it repairs something.
        for count in ["4", "2"] {
            namespace.kubectl(&["scale", "deployment", HUB, &format!("--replicas={count}")])?;
            wait_repair(namespace)?;
            ensure!(replicas(namespace)?.to_string() == count, "{} instead of {count}", replicas(namespace)?);
        }
        let refused = namespace.kubectl(&["scale", "notificationhub", HUB, "--replicas=3"]);
        let error = refused.err().context("a spec with replicas and autoscaling was accepted")?;
        ensure!(format!("{error:#}").contains("replicas may not be specified together with autoscaling"), "{error:#}");

        namespace.apply(&hub(&json!({"replicas": 1})))?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        ensure!(replicas(namespace)? == 1 && namespace.get("hpa", HUB).is_err(), "the spec decides again");
        check_delivery(namespace, HUB, &generated_signer(namespace, HUB)?)
    });
}

#[test]
fn cpu_load_scales_up_without_disconnects() {
    namespace::with_namespace("busy", |namespace| {
        let _metrics = MetricsServer::start(namespace)?;
        redis_pod::start(namespace)?;
        let requests = json!({"containers": [{"name": "hub", "resources": {"requests": {"cpu": "100m"}}}]});
        namespace.apply(&hub(&json!({
            "autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 20},
            "podTemplate": {"spec": requests},
        })))?;
        namespace.wait_ready(HUB)?;
        wait_autoscaler(namespace, "ScalingActive", "ValidMetricFound")?;
        ensure!(replicas(namespace)? == 1, "{} pods have nothing to do", replicas(namespace)?);
        let requests = namespace.pod(HUB)?["spec"]["containers"][0]["resources"]["requests"].clone();
        ensure!(requests["cpu"] == "100m", "{requests}");

        let workload = start_workload(namespace, HUB, &generated_signer(namespace, HUB)?, 20, 100)?;
        wait_pods(namespace, HUB, 3, AUTOSCALER_TIMEOUT)?;
        wait_autoscaler(namespace, "ScalingLimited", "TooManyReplicas")?;
        workload.wait_received(200)?;
        workload.set_paused(true);
        // It would scale down without the stabilization window.
        wait_autoscaler(namespace, "AbleToScale", "ScaleDownStabilized")?;
        let calm = namespace.get("hpa", HUB)?["spec"]["behavior"]["scaleDown"].clone();
        let policies = json!([
            {"type": "Pods", "value": 1, "periodSeconds": 60}, {"type": "Percent", "value": 10, "periodSeconds": 60},
        ]);
        ensure!(calm["stabilizationWindowSeconds"] == 300 && calm["selectPolicy"] == "Max", "{calm}");
        ensure!(calm["policies"] == policies, "{calm}");
        workload.set_paused(false);
        workload.wait_received(200)?;
        ensure!(workload.disconnects() == 0, "{} disconnects", workload.disconnects());
        let totals = workload.finish(MAX_DELAY, LossTolerance::None)?;
        ensure!(totals.lost_disconnected == 0 && totals.duplicates == 0, "{totals}");
        Ok(())
    });
}

#[test]
fn connection_count_scales_up_without_disconnects() {
    namespace::with_namespace("clients", |namespace| {
        // The API server of another cluster cannot reach this process.
        if namespace.cluster.is_current_context() {
            return Ok(());
        }
        let _metrics = MetricsAdapter::start(namespace, HUB)?;
        redis_pod::start(namespace)?;
        namespace.apply(&hub(&json!({"autoscaling": {"maxReplicas": 5, "targetConnectionsPerReplica": 10}})))?;
        namespace.wait_ready(HUB)?;
        wait_autoscaler(namespace, "ScalingActive", "ValidMetricFound")?;
        ensure!(replicas(namespace)? == 1, "{} pods without clients", replicas(namespace)?);

        let workload = start_workload(namespace, HUB, &generated_signer(namespace, HUB)?, 25, 100)?;
        wait_pods(namespace, HUB, 3, AUTOSCALER_TIMEOUT)?;
        workload.wait_received(200)?;
        ensure!(workload.disconnects() == 0, "{} disconnects", workload.disconnects());
        let totals = workload.finish(MAX_DELAY, LossTolerance::None)?;
        ensure!(totals.lost_disconnected == 0 && totals.duplicates == 0, "{totals}");
        ensure!(replicas(namespace)? == 3, "{} pods for 25 clients", replicas(namespace)?);
        Ok(())
    });
}

/// Waits until a condition of the autoscaler has this reason.
fn wait_autoscaler(namespace: &Namespace, condition: &str, reason: &str) -> Result<()> {
    until(reason, AUTOSCALER_TIMEOUT, || {
        let status = namespace.get("hpa", HUB)?["status"].clone();
        let conditions = status["conditions"].as_array().context("no conditions")?;
        let found = conditions.iter().any(|it| it["type"] == condition && it["reason"] == reason);
        ensure!(found, "it says {status}");
        Ok(())
    })
}

/// Returns a hub with Redis and these fields.
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

/// Returns the UIDs of the pods that are not terminating.
fn pods(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let uid = |pod: Value| pod["metadata"]["uid"].as_str().map(str::to_owned).context("no uid");
    namespace.running_pods(HUB)?.into_iter().map(uid).collect()
}

/// Returns the replicas of the Deployment.
fn replicas(namespace: &Namespace) -> Result<i64> {
    namespace.get("deployment", HUB)?["spec"]["replicas"].as_i64().context("no number")
}

/// Edits a Service and waits until the operator has repaired it.
fn wait_repair(namespace: &Namespace) -> Result<()> {
    let service = namespace.get("service", "vault-metrics")?["spec"].clone();
    let bent = json!({"spec": {"ports": [{"name": "admin", "port": 9090, "targetPort": 1}]}}).to_string();
    namespace.kubectl(&["patch", "service", "vault-metrics", "--type=merge", "-p", &bent])?;
    until("the Service is repaired", CLUSTER_TIMEOUT, || {
        ensure!(namespace.get("service", "vault-metrics")?["spec"] == service, "not yet");
        Ok(())
    })
}
