//! A namespace for one test. Its state is printed if the test fails, and it is deleted at the end.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Endpoint};
use crate::wait::until;
use crate::{install, secrets};

/// The timeout of a change in the cluster, such as the start of a pod.
pub const CLUSTER_TIMEOUT: Duration = Duration::from_secs(90);

/// The timeout of a connect in the cluster's network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A namespace of a cluster with the operator installed.
pub struct Namespace {
    /// The cluster.
    pub cluster: &'static Cluster,
    /// The name of the namespace.
    pub name: String,
}

/// Runs a test in a new namespace, and panics if it fails. Without a cluster, the test is skipped.
pub fn with_namespace(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) {
    let Some(cluster) = Cluster::for_this_run() else { return };
    install::install_operator(cluster).expect("the operator is installed");
    let id = uuid::Uuid::new_v4().simple().to_string();
    let namespace = Namespace { cluster, name: format!("{purpose}-{}", &id[..6]) };
    cluster.kubectl(&["create", "namespace", &namespace.name]).expect("a namespace");
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&namespace)));
    match &outcome {
        Ok(Ok(())) => namespace.assert_no_leak(),
        // Also before the state, because a CI run keeps only the first lines of a failed test.
        Ok(Err(error)) => {
            println!("{error:#}");
            namespace.print_state();
        }
        Err(_) => namespace.print_state(),
    }
    let deleted = cluster.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    match outcome {
        Ok(Ok(())) => deleted.map(drop).expect("the namespace can be deleted"),
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs a test that changes the Helm release. Such tests run one at a time, and are skipped with the current context.
pub fn with_exclusive_release(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) {
    static RELEASE_LOCK: Mutex<()> = Mutex::new(());
    let _guard = RELEASE_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    with_namespace(purpose, |namespace| if namespace.cluster.is_current_context() { Ok(()) } else { test(namespace) });
}

impl Namespace {
    /// Runs kubectl in this namespace and returns its output.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat())
    }

    /// Applies a manifest by server-side apply.
    pub fn apply(&self, manifest: &Value) -> Result<()> {
        let arguments = ["-n", &self.name, "apply", "--server-side", "-f", "-"];
        self.cluster.kubectl_with(&arguments, &manifest.to_string()).map(drop)
    }

    /// Returns an object, which must exist.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])?)?)
    }

    /// Returns the objects of these kinds with the labels of a hub. `kinds` is a list for kubectl.
    pub fn children(&self, kinds: &str, hub: &str) -> Result<Vec<Value>> {
        let selector = format!("app.kubernetes.io/name=notification-hub,app.kubernetes.io/instance={hub}");
        let list: Value = serde_json::from_str(&self.kubectl(&["get", kinds, "-l", &selector, "-o", "json"])?)?;
        Ok(list["items"].as_array().context("no list")?.clone())
    }

    /// Waits with `kubectl wait` until a hub is ready.
    pub fn wait_ready(&self, hub: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", CLUSTER_TIMEOUT.as_secs());
        self.kubectl(&["wait", "--for=condition=Ready", &timeout, &format!("notificationhub/{hub}")]).map(drop)
    }

    /// Waits until a condition of a hub has a status and reason for the current generation. Returns its message.
    pub fn wait_condition(&self, hub: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        until(&format!("{kind} is {status} ({reason})"), CLUSTER_TIMEOUT, || {
            let resource = self.get("notificationhub", hub)?;
            let conditions = resource["status"]["conditions"].as_array().context("no conditions")?;
            let condition = conditions.iter().find(|each| each["type"] == kind).context("no such condition")?;
            ensure!(
                condition["observedGeneration"] == resource["metadata"]["generation"],
                "the condition is of an old generation"
            );
            ensure!(condition["status"] == status && condition["reason"] == reason, "it is {condition}");
            Ok(condition["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Returns the only pod of a hub that is not terminating.
    pub fn pod(&self, hub: &str) -> Result<Value> {
        match <[Value; 1]>::try_from(self.running_pods(hub)?) {
            Ok([pod]) => Ok(pod),
            Err(pods) => bail!("{} pods instead of one", pods.len()),
        }
    }

    /// Returns the pods of a hub that are not terminating.
    pub fn running_pods(&self, hub: &str) -> Result<Vec<Value>> {
        let mut pods = self.children("pods", hub)?;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(pods)
    }

    /// Returns the value of an entry of a Secret.
    pub fn secret(&self, name: &str, entry: &str) -> Result<Vec<u8>> {
        let template = format!("go-template={{{{index .data {entry:?} | base64decode}}}}");
        let content = self.kubectl(&["get", "secret", name, "-o", &template])?;
        register_secret_lines(&content);
        Ok(content.into_bytes())
    }

    /// Creates or replaces a Secret with one entry.
    pub fn set_secret(&self, name: &str, entry: &str, text: &str) -> Result<()> {
        register_secret_lines(text);
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {entry: text},
        }))
    }

    /// Returns the endpoint of a Service, once it accepts a connection. A pod is available before the node's rules route to it.
    pub fn endpoint(&self, service: &str, port: u16) -> Result<Endpoint> {
        let endpoint = self.cluster.endpoint(&self.name, service, port)?;
        until(&format!("{service} routes to a pod"), CLUSTER_TIMEOUT, || {
            self.cluster.run_inside(|| Ok(TcpStream::connect_timeout(&endpoint.address, CONNECT_TIMEOUT)?))
        })?;
        Ok(endpoint)
    }

    /// Prints the objects, events and logs of the namespace.
    fn print_state(&self) {
        let overview =
            self.kubectl(&["get", "all,configmaps,secrets", "-o", "wide"]).unwrap_or_else(|error| format!("{error:#}"));
        for text in std::iter::once(overview).chain(self.public_texts()) {
            eprintln!("--- {}\n{text}", self.name);
        }
    }

    /// Panics if a public text of the namespace contains a secret.
    fn assert_no_leak(&self) {
        self.public_texts().iter().for_each(|text| secrets::assert_none_in(&format!("namespace {}", self.name), text));
    }

    /// Returns the objects except Secrets, the events, and the logs of the pods and the operator.
    fn public_texts(&self) -> Vec<String> {
        let mut texts = vec![
            self.kubectl(&["get", "notificationhubs,configmaps,deployments", "-o", "yaml"]),
            self.kubectl(&["get", "events", "--sort-by=.lastTimestamp"]),
        ];
        let names = self.kubectl(&["get", "pods", "-o", "name"]).unwrap_or_default();
        for pod in names.lines() {
            texts.push(self.kubectl(&["describe", pod]));
            texts.push(self.kubectl(&["logs", pod, "--all-containers", "--tail=200"]));
        }
        texts.push(install::log(self.cluster));
        texts.into_iter().map(|text| text.unwrap_or_else(|error| format!("{error:#}"))).collect()
    }
}

/// Registers the lines of a Secret except the headings of PEM.
fn register_secret_lines(content: &str) {
    content.lines().filter(|line| !line.starts_with("-----")).for_each(secrets::register);
}
