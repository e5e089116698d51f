//! A hub with several replicas in a real Kubernetes cluster with Redis in a pod: pushes reach the clients of every pod, during
//! scaling and rollouts.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{Endpoint, folder};
use notification_hub_tests::deployed::{check_delivery, folder_update, generated_signer, send};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::redis_pod;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use uuid::Uuid;

const HUB: &str = "vault";

#[test]
fn pushes_reach_clients_of_every_pod_across_scaling() {
    namespace::with_namespace("replicas", |namespace| {
        let sample = std::fs::read_to_string(folder().join("../crds/samples/replicas.yaml"))?;
        let mut sample: Value = serde_saphyr::from_str(&sample)?;
        sample["spec"]["drain"]["duration"] = json!("4s");
        namespace.apply(&sample)?;
        let message = namespace.wait_condition(HUB, "ReferencesResolved", "False", "SecretNotFound")?;
        ensure!(message.contains("Secret redis"), "which one? {message}");
        redis_pod::start(namespace)?;
        namespace.wait_ready(HUB)?;
        let key = generated_signer(namespace, HUB)?;
        let shared = namespace.get("secret", "vault-tokens")?;
        check_all_pods(namespace, &key, 3)?;

        check_redis_outage(namespace, &key)?;
        check_all_pods(namespace, &key, 3)?;

        scale(namespace, 3, 1)?;
        check_delivery(namespace, HUB, &key)?;
        let one = running(namespace)?;
        ensure!(namespace.get("poddisruptionbudget", HUB).is_err(), "a budget for one pod");
        scale(namespace, 1, 4)?;
        check_all_pods(namespace, &key, 4)?;
        let four = running(namespace)?;
        ensure!(one.is_subset(&four), "a pod was replaced: {one:?}, {four:?}");
        let budget = namespace.get("poddisruptionbudget", HUB)?["spec"].clone();
        ensure!(budget["maxUnavailable"] == 1 && budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow", "{budget}");
        scale(namespace, 4, 2)?;
        check_all_pods(namespace, &key, 2)?;
        let two = running(namespace)?;
        ensure!(two.is_subset(&four), "a pod was replaced: {four:?}, {two:?}");

        let clients = clients(namespace, &key, &Uuid::new_v4().to_string())?;
        namespace.kubectl(&["rollout", "restart", "deployment/vault"])?;
        namespace.kubectl(&["rollout", "status", "deployment/vault", "--timeout=90s"])?;
        clients.iter().try_for_each(Listener::wait_closed)?;
        until("all pods are new", CLUSTER_TIMEOUT, || {
            let now = running(namespace)?;
            ensure!(now.len() == 2 && now.is_disjoint(&two), "{two:?}, {now:?}");
            Ok(())
        })?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        check_all_pods(namespace, &key, 2)?;
        ensure!(namespace.get("secret", "vault-tokens")? == shared, "the shared key was written again");
        Ok(())
    });
}

/// Restarts Redis. Meanwhile each pod serves its own clients, and afterwards the others receive the push or a sync.
fn check_redis_outage(namespace: &Namespace, key: &Signer) -> Result<()> {
    let (user, folder) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let clients = clients(namespace, key, &user)?;
    redis_pod::stop(namespace)?;
    let pods = pod_endpoints(namespace, 5001)?;
    let (first, others) = clients.split_first().context("no pod")?;
    let sent = send(namespace, &pods[0], &key.sign(&token::internal())?, &folder_update(&user, &folder))?;
    ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
    first.notification(|notification| notification["Payload"]["Id"] == *folder)?;
    redis_pod::start_pod(namespace)?;
    // The push, or a sync that covers it.
    let is_covered = |push: &Value| push["Payload"]["Id"] == *folder || push["Type"] == 5;
    others.iter().try_for_each(|client| client.notification(is_covered).map(drop))?;
    namespace.wait_condition(HUB, "Ready", "True", "Available").map(drop)
}

/// Scales the hub and waits until it has `to` pods.
fn scale(namespace: &Namespace, from: usize, to: usize) -> Result<()> {
    let (from, replicas) = (format!("--current-replicas={from}"), format!("--replicas={to}"));
    namespace.kubectl(&["scale", "notificationhub/vault", &from, &replicas])?;
    namespace.wait_condition(HUB, "Ready", "True", "Available")?;
    until("the wanted number of pods", CLUSTER_TIMEOUT, || {
        let pods = running(namespace)?;
        ensure!(pods.len() == to, "{pods:?}");
        Ok(())
    })
}

/// Returns the UIDs of the pods that are not terminating.
fn running(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let uid = |pod: Value| pod["metadata"]["uid"].as_str().map(str::to_owned).context("no uid");
    namespace.running_pods(HUB)?.into_iter().map(uid).collect()
}

/// Returns the endpoint of each pod at a port.
fn pod_endpoints(namespace: &Namespace, port: u16) -> Result<Vec<Endpoint>> {
    let endpoint = |pod: Value| namespace.cluster.pod_endpoint(&pod, port);
    namespace.running_pods(HUB)?.into_iter().map(endpoint).collect()
}

/// Connects a client of a user to every pod.
fn clients(namespace: &Namespace, key: &Signer, user: &str) -> Result<Vec<Listener>> {
    let connect = |(number, endpoint): (usize, Endpoint)| {
        let claims = token::user(user, &[], "ChromeBrowser", &format!("device-{number}"));
        Listener::connect(namespace.cluster.command("node"), &endpoint.url, &key.sign(&claims)?, "messagepack", &[])
    };
    pod_endpoints(namespace, 5000)?.into_iter().enumerate().map(connect).collect()
}

/// Checks a hub with `count` pods: a push to any pod reaches the clients of all, and a client can negotiate with one pod and
/// connect to another.
fn check_all_pods(namespace: &Namespace, key: &Signer, count: usize) -> Result<()> {
    let user = Uuid::new_v4().to_string();
    let clients = clients(namespace, key, &user)?;
    ensure!(clients.len() == count, "{} pods", clients.len());
    let token = key.sign(&token::internal())?;
    for endpoint in pod_endpoints(namespace, 5001)? {
        let folder = Uuid::new_v4().to_string();
        let sent = send(namespace, &endpoint, &token, &folder_update(&user, &folder))?;
        ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
        for client in &clients {
            client.notification(|notification| notification["Payload"]["Id"] == *folder)?;
        }
    }
    // The Service routes each request to any pod.
    let public = namespace.endpoint(HUB, 5000)?;
    for _ in 0..count {
        let claims = token::user(&Uuid::new_v4().to_string(), &[], "ChromeBrowser", "device");
        let node = namespace.cluster.command("node");
        Listener::connect(node, &public.url, &key.sign(&claims)?, "messagepack", &["--negotiate"])?.stop()?;
    }
    Ok(())
}
