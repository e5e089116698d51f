//! One operator with many hubs in a real Kubernetes cluster: bounded memory, and no writes for unchanged hubs. Tests have 100
//! hubs, and `make test-scale` has 1,000. `HUBS` sets the number.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::run;
use notification_hub_tests::namespace::{self, Namespace};
use notification_hub_tests::wait::until;
use notification_hub_tests::{http, install};
use serde_json::{Value, json};

/// The timeout of each step. With 1,000 hubs a step takes some minutes.
const SCALE_TIMEOUT: Duration = Duration::from_secs(900);

/// The number of hubs that one command applies.
const BATCH: usize = 100;

/// The kinds of a hub without pods and its children.
const KINDS: &str = "notificationhubs,deployments,services,configmaps,secrets,serviceaccounts";

/// A script that prints the memory of the operator's process.
const MEMORY: &str = r#"
for process in /proc/[0-9]*; do
  case "$(tr '\0' ' ' < "$process/cmdline" 2> /dev/null)" in
    */notification-hub-operator\ run*) grep RssAnon "$process/status" ;;
  esac
done"#;

#[test]
fn many_hubs_use_bounded_memory_and_cause_no_writes() {
    let hubs: usize = std::env::var("HUBS").ok().and_then(|hubs| hubs.parse().ok()).unwrap_or(100);
    namespace::with_namespace("many", |namespace| {
        for batch in (0..hubs).collect::<Vec<_>>().chunks(BATCH) {
            let items: Vec<Value> = batch.iter().map(hub).collect();
            namespace.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}))?;
        }
        until("every hub is ready", SCALE_TIMEOUT, || {
            let ready = ready_hubs(namespace)?;
            ensure!(ready == hubs, "{ready} of {hubs}");
            Ok(())
        })?;
        let most = if hubs > 100 { 100 } else { 30 };
        let used = memory(namespace)?;
        println!("the operator takes {} MiB with {hubs} hubs", used >> 20);
        ensure!(used < most << 20, "{used} bytes");

        // A new operator reconciles each hub once, as it does every ten minutes.
        let before = resource_versions(namespace)?;
        ensure!(before.len() >= 7 * hubs, "{} objects", before.len());
        let system = ["-n", install::NAMESPACE];
        let restart = ["rollout", "restart", "deployment", install::RELEASE];
        namespace.cluster.kubectl(&[&system[..], &restart].concat())?;
        namespace.cluster.kubectl(&[&system[..], &["rollout", "status", "deployment", install::RELEASE]].concat())?;
        until("a reconcile of every hub", SCALE_TIMEOUT, || {
            let reconciles = reconciles(namespace)?;
            ensure!(reconciles >= hubs as f64, "{reconciles} of {hubs}");
            Ok(())
        })?;
        let after = resource_versions(namespace)?;
        let changed: Vec<_> = after.iter().filter(|(name, version)| before.get(*name) != Some(version)).collect();
        ensure!(changed.is_empty() && after.len() == before.len(), "written: {changed:?}");
        let used = memory(namespace)?;
        println!("and {} MiB after a reconcile of every hub", used >> 20);
        ensure!(used < most << 20, "{used} bytes");
        Ok(())
    });
}

/// Returns a hub without pods. It has an ES256 key, because the generation of RSA keys would dominate the measurement.
fn hub(number: &usize) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub",
        "metadata": {"name": format!("hub-{number}")},
        "spec": {"replicas": 0, "source": {"direct": {}}, "auth": {"generate": {"algorithm": "ES256"}}},
    })
}

/// Returns the number of hubs that are ready and have no pods.
fn ready_hubs(namespace: &Namespace) -> Result<usize> {
    let reasons = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].reason}";
    let reasons = namespace.kubectl(&["get", "notificationhubs", "-o", reasons])?;
    Ok(reasons.split_whitespace().filter(|reason| *reason == "ScaledToZero").count())
}

/// Returns the resource version of each object.
fn resource_versions(namespace: &Namespace) -> Result<BTreeMap<String, String>> {
    let columns = "custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.resourceVersion";
    let table = namespace.kubectl(&["get", KINDS, "--no-headers", "-o", columns])?;
    let row = |line: &str| {
        let (name, version) = line.trim().rsplit_once(' ').context("a line without a version")?;
        Ok((name.to_owned(), version.to_owned()))
    };
    table.lines().map(row).collect()
}

/// Returns the number of reconciles of the operator.
fn reconciles(namespace: &Namespace) -> Result<f64> {
    let label = format!("app.kubernetes.io/name={}", install::RELEASE);
    let pods = namespace.cluster.kubectl(&["-n", install::NAMESPACE, "get", "pods", "-l", &label, "-o", "json"])?;
    let pods: Value = serde_json::from_str(&pods)?;
    let pods = pods["items"].as_array().context("no list")?;
    let [pod] = &pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect::<Vec<_>>()[..]
    else {
        anyhow::bail!("{} pods", pods.len());
    };
    let endpoint = namespace.cluster.pod_endpoint(pod, 8080)?;
    let metrics = namespace.cluster.run_inside(|| http::get(endpoint.address, "/metrics"))?.text();
    let counts = metrics.lines().filter(|line| line.starts_with("notification_hub_operator_reconciles_total{"));
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// Returns the anonymous memory of the operator in bytes.
fn memory(namespace: &Namespace) -> Result<u64> {
    let output = run(namespace.cluster.command("bash").args(["-c", MEMORY]))?;
    let kilobytes = output.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    Ok(kilobytes.max().context("there is no operator")? * 1024)
}
