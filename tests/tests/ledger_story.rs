//! Deliveries (`decisions.md` 8) while pods are replaced, scaled, killed and partitioned, in a real Kubernetes cluster with Redis
//! in a pod.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::deployed::{start_workload, wait_pods};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::network_partition::NetworkPartition;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use notification_hub_tests::{http, redis_pod};
use serde_json::{Value, json};
use uuid::Uuid;

const HUB: &str = "vault";

/// The name of the Secret with the signing keys.
const KEYS: &str = "signing";

/// The maximum duration of a delivery without faults.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The maximum duration of a delivery with faults.
const MAX_FAULT_DELAY: Duration = Duration::from_secs(90);

/// Starts a hub with a drain duration, and returns a signer with its key.
fn start(namespace: &Namespace, replicas: usize, drain: &str) -> Result<Signer> {
    let secret = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
    namespace.set_secret(KEYS, "first.secret", &secret)?;
    redis_pod::start(namespace)?;
    let of_redis = |key: &str| json!({"secretKeyRef": {"name": "redis", "key": key}});
    namespace.apply(&json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
        "spec": {
            "replicas": replicas, "source": {"direct": {}}, "drain": {"duration": drain},
            "auth": {"signingKeys": {"secretRef": {"name": KEYS}}},
            "backplane": {"redis": {"url": of_redis("url"), "username": "hub", "password": of_redis("password")}},
        },
    }))?;
    namespace.wait_ready(HUB)?;
    Ok(Signer::secret(secret.as_bytes()))
}

/// Waits until a pod is connected to Redis, or is not.
fn wait_redis_link(namespace: &Namespace, pod: &Value, connected: bool) -> Result<()> {
    let address = namespace.cluster.pod_endpoint(pod, 9090)?.address;
    until("the state of Redis is noticed", CLUSTER_TIMEOUT, || {
        let metrics = namespace.cluster.run_inside(|| http::get(address, "/metrics"))?.text();
        ensure!(metrics.lines().any(|line| line == "notification_hub_backplane_up 1") == connected);
        Ok(())
    })
}

/// Returns the status of each pod's response to a token of a signer.
fn answers(namespace: &Namespace, signer: &Signer) -> Result<Vec<u16>> {
    let authorization = format!("Bearer {}", signer.sign(&token::internal())?);
    let headers = [("Authorization", authorization.as_str())];
    let ask = |pod: Value| {
        let address: SocketAddr = namespace.cluster.pod_endpoint(&pod, 5001)?.address;
        Ok(namespace.cluster.run_inside(|| http::request(address, "POST", "/send", &headers, b""))?.status)
    };
    namespace.running_pods(HUB)?.into_iter().map(ask).collect()
}

#[test]
fn rollout_disconnects_each_client_once_and_key_reload_none() {
    namespace::with_namespace("rollout", |namespace| {
        let signer = start(namespace, 4, "15s")?;
        // The clients reconnect after 30 to 75 seconds, four times as fast as official ones.
        let workload = start_workload(namespace, HUB, &signer, 2000, 4)?;
        workload.wait_received(1000)?;

        let other = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        namespace.set_secret(KEYS, "second.secret", &other)?;
        let other = Signer::secret(other.as_bytes());
        until("a new key has reached every pod", Duration::from_secs(180), || {
            let answers = answers(namespace, &other)?;
            ensure!(answers == [200; 4], "{answers:?}");
            Ok(())
        })?;
        ensure!(workload.disconnects() == 0, "{} disconnects by a reload", workload.disconnects());

        namespace.kubectl(&["rollout", "restart", "deployment/vault"])?;
        namespace.kubectl(&["rollout", "status", "deployment/vault", "--timeout=120s"])?;
        until("every client was disconnected", CLUSTER_TIMEOUT, || {
            ensure!(workload.disconnects() >= 2000, "{} so far", workload.disconnects());
            Ok(())
        })?;
        workload.wait_reconnected()?;
        println!("disconnects of a client by a rollout: {}", workload.disconnects() as f64 / 2000.0);
        ensure!(workload.disconnects() == 2000, "{} disconnects", workload.disconnects());
        let totals = workload.finish(MAX_DELAY, LossTolerance::None)?;
        ensure!(totals.duplicates == 0, "{totals}");
        Ok(())
    });
}

#[test]
fn scaling_pods_up_and_down_loses_no_covered_push() {
    namespace::with_namespace("scaling", |namespace| {
        let signer = start(namespace, 1, "2s")?;
        let workload = start_workload(namespace, HUB, &signer, 40, 100)?;
        for pods in [4, 2] {
            workload.wait_received(200)?;
            namespace.kubectl(&["scale", "notificationhub/vault", &format!("--replicas={pods}")])?;
            wait_pods(namespace, HUB, pods, CLUSTER_TIMEOUT)?;
        }
        workload.wait_received(200)?;
        let totals = workload.finish(MAX_DELAY, LossTolerance::None)?;
        ensure!(totals.duplicates == 0, "{totals}");
        Ok(())
    });
}

#[test]
fn pods_killed_or_partitioned_lose_no_covered_push() {
    namespace::with_namespace("faults", |namespace| {
        let signer = start(namespace, 2, "2s")?;
        let workload = start_workload(namespace, HUB, &signer, 40, 100)?;
        for _ in 0..2 {
            workload.wait_received(200)?;
            let pod = namespace.running_pods(HUB)?.into_iter().next().context("no pod")?;
            let name = pod["metadata"]["name"].as_str().context("no name")?;
            namespace.kubectl(&["delete", "pod", name, "--force", "--grace-period=0"])?;
            wait_pods(namespace, HUB, 2, CLUSTER_TIMEOUT)?;
        }

        workload.wait_received(200)?;
        redis_pod::stop(namespace)?;
        workload.wait_received(50)?;
        redis_pod::start_pod(namespace)?;
        workload.wait_received(200)?;

        if !namespace.cluster.is_current_context() {
            let pod = namespace.running_pods(HUB)?.into_iter().next().context("no pod")?;
            wait_redis_link(namespace, &pod, true)?;
            let partition = NetworkPartition::start(namespace.cluster, &pod, &namespace.get("service", "redis")?)?;
            wait_redis_link(namespace, &pod, false)?;
            workload.wait_received(50)?;
            drop(partition);
            wait_redis_link(namespace, &pod, true)?;
            workload.wait_received(200)?;
        }
        workload.finish(MAX_FAULT_DELAY, LossTolerance::Fault).map(drop)
    });
}
