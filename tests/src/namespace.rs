//! A namespace for one test. What is in it is shown when the test fails, and then deleted.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Reach};
use crate::wait::until;
use crate::{install, secrets};

/// How long pods may take to come up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How long a connection within the cluster may take.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// A namespace of a cluster with the operator installed.
pub struct Namespace {
    /// The cluster.
    pub cluster: &'static Cluster,
    /// Its name.
    pub name: String,
}

/// Runs a test in a namespace of its own. Without a cluster it says why and does nothing.
pub fn with(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) {
    let Some(cluster) = Cluster::of_this_run() else { return };
    install::operator(cluster).expect("the operator is installed");
    let id = uuid::Uuid::new_v4().simple().to_string();
    let namespace = Namespace { cluster, name: format!("{purpose}-{}", &id[..6]) };
    cluster.kubectl(&["create", "namespace", &namespace.name]).expect("a namespace");
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&namespace)));
    match &outcome {
        Ok(Ok(())) => namespace.find_no_secret(),
        _ => namespace.show(),
    }
    let deleted = cluster.kubectl(&["delete", "namespace", &namespace.name, "--wait=false"]);
    match outcome {
        Ok(Ok(())) => deleted.map(drop).expect("the namespace can be deleted"),
        Ok(Err(error)) => panic!("{error:#}"),
        Err(panic) => resume_unwind(panic),
    }
}

/// Runs a test that has the release to itself. In a cluster of somebody's own it is left as it is.
pub fn with_the_release(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    with(purpose, |namespace| if namespace.cluster.is_current_context() { Ok(()) } else { test(namespace) });
}

impl Namespace {
    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["-n", &self.name], arguments].concat())
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &Value) -> Result<()> {
        let arguments = ["-n", &self.name, "apply", "--server-side", "-f", "-"];
        self.cluster.kubectl_with(&arguments, &manifest.to_string()).map(drop)
    }

    /// An object, which has to exist.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&["get", kind, name, "-o", "json"])?)?)
    }

    /// The objects of these kinds that a hub owns directly or by its labels; `kinds` as kubectl takes them.
    pub fn children(&self, kinds: &str, hub: &str) -> Result<Vec<Value>> {
        let selector = format!("app.kubernetes.io/name=notification-hub,app.kubernetes.io/instance={hub}");
        let list: Value = serde_json::from_str(&self.kubectl(&["get", kinds, "-l", &selector, "-o", "json"])?)?;
        Ok(list["items"].as_array().context("no list")?.clone())
    }

    /// Waits as a user would until the hub is ready.
    pub fn wait_ready(&self, hub: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        self.kubectl(&["wait", "--for=condition=Ready", &timeout, &format!("notificationhub/{hub}")]).map(drop)
    }

    /// Waits until a condition of the hub, seen for its present generation, has this status and reason; its message.
    pub fn wait_condition(&self, hub: &str, kind: &str, status: &str, reason: &str) -> Result<String> {
        until(&format!("{kind} is {status} ({reason})"), PATIENCE, || {
            let resource = self.get("notificationhub", hub)?;
            let conditions = resource["status"]["conditions"].as_array().context("no conditions")?;
            let condition = conditions.iter().find(|each| each["type"] == kind).context("no such condition")?;
            ensure!(
                condition["observedGeneration"] == resource["metadata"]["generation"],
                "it is of an old generation"
            );
            ensure!(condition["status"] == status && condition["reason"] == reason, "it is {condition}");
            Ok(condition["message"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// The one pod of a hub that is not on its way out.
    pub fn pod(&self, hub: &str) -> Result<Value> {
        match <[Value; 1]>::try_from(self.running_pods(hub)?) {
            Ok([pod]) => Ok(pod),
            Err(pods) => bail!("{} pods instead of one", pods.len()),
        }
    }

    /// The pods of a hub that are not on their way out.
    pub fn running_pods(&self, hub: &str) -> Result<Vec<Value>> {
        let mut pods = self.children("pods", hub)?;
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(pods)
    }

    /// The content of an entry of a Secret.
    pub fn secret(&self, name: &str, entry: &str) -> Result<Vec<u8>> {
        let template = format!("go-template={{{{index .data {entry:?} | base64decode}}}}");
        let content = self.kubectl(&["get", "secret", name, "-o", &template])?;
        keep(&content);
        Ok(content.into_bytes())
    }

    /// Makes or edits a Secret of one entry.
    pub fn set_secret(&self, name: &str, entry: &str, text: &str) -> Result<()> {
        keep(text);
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {entry: text},
        }))
    }

    /// The way to a port of a Service that has pods. They are available a moment before the node's rules lead to them.
    pub fn reach(&self, service: &str, port: u16) -> Result<Reach> {
        let reach = self.cluster.reach(&self.name, service, port)?;
        until(&format!("{service} leads to a pod"), PATIENCE, || {
            self.cluster.inside(|| Ok(TcpStream::connect_timeout(&reach.address, ROUND_TRIP)?))
        })?;
        Ok(reach)
    }

    /// Prints what one wants to know after a failure.
    fn show(&self) {
        let overview =
            self.kubectl(&["get", "all,configmaps,secrets", "-o", "wide"]).unwrap_or_else(|error| format!("{error:#}"));
        for text in std::iter::once(overview).chain(self.told()) {
            eprintln!("--- {}\n{text}", self.name);
        }
    }

    /// Fails if a secret stands where anybody may read.
    fn find_no_secret(&self) {
        self.told().iter().for_each(|text| secrets::none_in(&format!("what {} tells", self.name), text));
    }

    /// What resources, events, pods and the operator tell.
    fn told(&self) -> Vec<String> {
        let mut told = vec![
            self.kubectl(&["get", "notificationhubs,configmaps,deployments", "-o", "yaml"]),
            self.kubectl(&["get", "events", "--sort-by=.lastTimestamp"]),
        ];
        let names = self.kubectl(&["get", "pods", "-o", "name"]).unwrap_or_default();
        for pod in names.lines() {
            told.push(self.kubectl(&["describe", pod]));
            told.push(self.kubectl(&["logs", pod, "--all-containers", "--tail=200"]));
        }
        told.push(install::log(self.cluster));
        told.into_iter().map(|text| text.unwrap_or_else(|error| format!("{error:#}"))).collect()
    }
}

/// Keeps the content of a Secret: every line of it but the headings of PEM.
fn keep(content: &str) {
    content.lines().filter(|line| !line.starts_with("-----")).for_each(secrets::keep);
}
