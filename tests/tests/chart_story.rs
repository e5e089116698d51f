//! The Helm chart in a real Kubernetes cluster: upgrade, restriction to namespaces, uninstall, reinstall, and installation
//! without Helm. A hub keeps its clients meanwhile, and every pod meets the `restricted` standard.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{folder, run};
use notification_hub_tests::deployed::{connect, folder_update, generated_signer, send};
use notification_hub_tests::install::{self, HELM_WAIT, NAMESPACE, RELEASE};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::pages;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";

/// Runs a test that changes the Helm release, in namespaces that enforce the `restricted` standard.
fn with_exclusive_release(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) {
    namespace::with_exclusive_release(purpose, |namespace| {
        for name in [&namespace.name, NAMESPACE] {
            namespace.cluster.kubectl(&["label", "--overwrite", "namespace", name, RESTRICTED])?;
        }
        test(namespace)
    });
}

/// A hub with a client that must stay connected.
struct ConnectedHub<'a> {
    namespace: &'a Namespace,
    key: Signer,
    user: String,
    client: Listener,
    pod: Value,
}

impl<'a> ConnectedHub<'a> {
    fn start(namespace: &'a Namespace) -> Result<Self> {
        let sample = std::fs::read_to_string(project()?.join("crds/samples/minimal.yaml"))?;
        namespace.cluster.kubectl_with(&["-n", &namespace.name, "apply", "-f", "-"], &sample)?;
        namespace.wait_ready("vault")?;
        let key = generated_signer(namespace, "vault")?;
        let user = Uuid::new_v4().to_string();
        let claims = token::user(&user, &[], "ChromeBrowser", "device");
        let client = connect(namespace, &namespace.endpoint("vault", 5000)?, &key.sign(&claims)?, "messagepack")?;
        let pod = namespace.pod("vault")?;
        Ok(Self { namespace, key, user, client, pod })
    }

    /// Fails unless a push reaches the client on its connection to the same pod.
    fn check_connected(&self) -> Result<()> {
        let folder = Uuid::new_v4().to_string();
        let internal = self.namespace.endpoint("vault-internal", 5001)?;
        let token = self.key.sign(&token::internal())?;
        let sent = send(self.namespace, &internal, &token, &folder_update(&self.user, &folder))?;
        ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
        self.client.notification(|notification| notification["Payload"]["Id"] == *folder)?;
        let pod = self.namespace.pod("vault")?;
        ensure!(pod["metadata"]["uid"] == self.pod["metadata"]["uid"], "another pod: {}", pod["metadata"]);
        Ok(())
    }

    /// Waits until the operator recreates a deleted Service, then checks the client.
    fn check_reconciled(&self) -> Result<()> {
        self.namespace.kubectl(&["delete", "service", "vault-metrics"])?;
        until("the Service is back", CLUSTER_TIMEOUT, || self.namespace.get("service", "vault-metrics"))?;
        self.namespace.wait_condition("vault", "Ready", "True", "Available")?;
        self.check_connected()
    }
}

fn project() -> Result<&'static Path> {
    folder().parent().context("no project around the tests")
}

fn git(arguments: &[&str]) -> Result<String> {
    run(Command::new("git").current_dir(project()?).args(arguments))
}

/// Unpacks the chart before its last change into a folder. Without the git history, prints a line and returns `None`.
fn previous_chart(into: &Path) -> Result<Option<PathBuf>> {
    let path = format!("charts/{RELEASE}");
    if git(&["rev-parse", "--is-shallow-repository"]).ok().is_none_or(|shallow| shallow.trim() != "false") {
        // Directly to stderr, because libtest captures the output of passing tests.
        let _ = writeln!(std::io::stderr(), "no git history: the upgrade from an earlier chart is not tested");
        return Ok(None);
    }
    let changed = !git(&["status", "--porcelain", "--", &path])?.is_empty();
    let commits = git(&["log", "-n", "2", "--format=%H", "--", &path])?;
    let commit = commits.lines().nth(usize::from(!changed)).context("the chart has changed only once")?;
    let archive = into.join("chart.tar");
    let archived = archive.to_str().context("a path that is not UTF-8")?;
    git(&["archive", "--output", archived, commit, "--", &path])?;
    run(Command::new("tar").current_dir(into).args(["-xf", archived]))?;
    Ok(Some(into.join(path)))
}

/// Returns the schema of the CRD in the cluster, and the generated one.
fn schemas(namespace: &Namespace) -> Result<[Value; 2]> {
    let served = namespace.get("customresourcedefinition", "notificationhubs.notificationhub.rs")?;
    let generated: Value =
        serde_saphyr::from_str(&std::fs::read_to_string(project()?.join("crds/yaml/notificationhubs.yaml"))?)?;
    Ok([served, generated].map(|definition| definition["spec"]["versions"][0]["schema"].clone()))
}

#[test]
fn upgrade_from_previous_chart_keeps_clients_connected() {
    with_exclusive_release("upgrade", |namespace| {
        let folder = tempfile::tempdir()?;
        let Some(previous) = previous_chart(folder.path())? else { return Ok(()) };
        let hub = ConnectedHub::start(namespace)?;
        // The old chart may not have all values and all permissions of the current one.
        install::install_release(namespace.cluster, &previous, &["--skip-schema-validation"])?;
        install::install_release(namespace.cluster, &install::chart_path()?, &HELM_WAIT)?;
        let [served, generated] = schemas(namespace)?;
        ensure!(served == generated, "the CRD is not the current one");
        hub.check_connected()?;
        hub.check_reconciled()
    });
}

/// The commands of `docs/install.md`, in a copy of the project whose chart and manifests have the tests' images.
struct Page<'a> {
    namespace: &'a Namespace,
    text: String,
    folder: TempDir,
    /// The names of the blocks that were run.
    run: BTreeSet<&'static str>,
}

impl<'a> Page<'a> {
    fn open(namespace: &'a Namespace) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut copy = Command::new("cp");
        run(copy.current_dir(project()?).args(["-r", "charts", "crds", "deploy"]).arg(folder.path()))?;
        let manifests = folder.path().join("deploy/operator.yaml");
        let values = folder.path().join(format!("charts/{RELEASE}/values.yaml"));
        for (name, own) in [("notification-hub-operator", "operator"), ("notification-hub", "hub")] {
            let published = format!("registry.example.com/notification-hub/{name}:{}", env!("CARGO_PKG_VERSION"));
            replace(&manifests, &published, &format!("nhub.test/{own}:test"))?;
            replace(&values, &format!("notification-hub/{name}\n"), &format!("{own}\n"))?;
        }
        replace(&values, "registry: \"\"\n", "registry: nhub.test\n")?;
        replace(&values, "tag: \"\"\n", "tag: test\n")?;
        Ok(Self { namespace, text: pages::read("docs/install.md")?, folder, run: BTreeSet::new() })
    }

    /// Runs a named block of commands.
    fn run(&mut self, name: &'static str) -> Result<()> {
        let commands = pages::block(&self.text, name)?;
        let mut shell = self.namespace.cluster.command("bash");
        run(shell.current_dir(self.folder.path()).args(["-euc", commands])).map(drop).context(name)?;
        self.run.insert(name);
        Ok(())
    }
}

fn replace(file: &Path, from: &str, to: &str) -> Result<()> {
    let text = std::fs::read_to_string(file)?;
    ensure!(text.contains(from), "{} has no {from}", file.display());
    Ok(std::fs::write(file, text.replace(from, to))?)
}

#[test]
fn hubs_survive_uninstall_and_join_the_next_release() {
    with_exclusive_release("again", |namespace| {
        let mut page = Page::open(namespace)?;
        let hub = ConnectedHub::start(namespace)?;
        page.run("uninstall")?;
        namespace.get("notificationhub", "vault")?;
        hub.check_connected()?;

        page.run("install without helm")?;
        hub.check_reconciled()?;
        page.run("take over")?;
        hub.check_reconciled()?;

        page.run("uninstall")?;
        for block in ["install", "helm test", "install two replicas", "pod security"] {
            page.run(block)?;
        }
        hub.check_reconciled()?;
        page.run("first hub")?;

        page.run("uninstall")?;
        page.run("delete everything")?;
        ensure!(namespace.get("notificationhub", "vault").is_err(), "the hub is still there");
        let blocks = page.text.matches("```sh\n").count();
        ensure!(
            blocks == page.run.len(),
            "the page has {blocks} blocks of commands, and these were run: {:?}",
            page.run
        );
        install::install_release(namespace.cluster, &install::chart_path()?, &HELM_WAIT)
    });
}

#[test]
fn namespaced_operators_have_only_namespace_rights_and_fail_over() {
    with_exclusive_release("narrow", |namespace| {
        let cluster = namespace.cluster;
        let hub = ConnectedHub::start(namespace)?;
        let watch = format!("watchNamespaces=[\"{}\"]", namespace.name);
        let options = [&HELM_WAIT[..], &["--set", "replicas=2", "--set-json", &watch]].concat();
        install::install_release(cluster, &install::chart_path()?, &options)?;

        let operator = format!("--as=system:serviceaccount:{NAMESPACE}:{RELEASE}");
        let may = |verb: &str, resource: &str, where_: &str| {
            cluster.kubectl(&["auth", "can-i", verb, resource, "--namespace", where_, &operator]).is_ok()
        };
        ensure!(may("get", "secrets", &namespace.name), "the operator may not read Secrets of its namespace");
        for elsewhere in ["default", NAMESPACE] {
            ensure!(!may("get", "secrets", elsewhere), "the operator may read Secrets of {elsewhere}");
        }
        for (verb, resource) in [("delete", "pods"), ("update", "notificationhubs"), ("create", "roles")] {
            ensure!(!may(verb, resource, &namespace.name), "the operator may {verb} {resource}");
        }
        let budget = cluster.kubectl(&[
            "get",
            "pdb",
            "-n",
            NAMESPACE,
            RELEASE,
            "-o",
            "jsonpath={.status.disruptionsAllowed}",
        ])?;
        ensure!(budget == "1", "{budget} may be taken");
        // The other replica takes over when the leader's pod is deleted.
        let leases = ["get", "lease", "-n", NAMESPACE, RELEASE, "-o", "jsonpath={.spec.holderIdentity}"];
        let leader = until("a leader", CLUSTER_TIMEOUT, || {
            let leader = cluster.kubectl(&leases)?;
            ensure!(!leader.is_empty(), "no leader");
            Ok(leader)
        })?;
        let pods = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"])?;
        let pod =
            pods.lines().find(|pod| leader.contains(pod.trim_start_matches("pod/"))).context("the leader is no pod")?;
        cluster.kubectl(&["delete", "-n", NAMESPACE, "--wait=false", pod])?;
        until("another leader", CLUSTER_TIMEOUT, || {
            let now = cluster.kubectl(&leases)?;
            ensure!(!now.is_empty() && now != leader, "it is {now:?}");
            Ok(())
        })?;
        hub.check_reconciled()?;

        let tested = cluster.helm(&["test", RELEASE, "--namespace", NAMESPACE, "--logs"])?;
        ensure!(tested.contains("granted"), "{tested}");
        cluster.kubectl(&["delete", "rolebinding", "-n", &namespace.name, "--all"])?;
        let refused =
            cluster.helm(&["test", RELEASE, "--namespace", NAMESPACE]).err().context("it needs no permission")?;
        ensure!(format!("{refused:#}").contains("notification-hub-operator-test"), "{refused:#}");
        cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, "notification-hub-operator-test"])?;

        install::install_release(cluster, &install::chart_path()?, &HELM_WAIT)?;
        ensure!(may("get", "secrets", "default"), "the operator does not watch all namespaces");
        hub.check_reconciled()
    });
}

/// Copies the chart and removes two fields from its CRD.
fn chart_with_old_crd(into: &Path) -> Result<PathBuf> {
    run(Command::new("cp").arg("-r").arg(install::chart_path()?).arg(into))?;
    let chart = into.join(RELEASE);
    let file = chart.join("files/crds/notificationhubs.yaml");
    let mut definition: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file)?)?;
    for (within, field) in [("spec", "limits"), ("status", "keys")] {
        let path = format!("/spec/versions/0/schema/openAPIV3Schema/properties/{within}/properties");
        let fields = definition.pointer_mut(&path).and_then(Value::as_object_mut);
        fields.and_then(|fields| fields.remove(field)).with_context(|| format!("no {field}"))?;
    }
    std::fs::write(&file, serde_saphyr::to_string(&definition)?)?;
    Ok(chart)
}

/// Restarts the operator and waits until its log contains a text.
fn restart_until_logged(namespace: &Namespace, text: &str) -> Result<()> {
    let deployment = format!("deployment/{RELEASE}");
    namespace.cluster.kubectl(&["rollout", "restart", "-n", NAMESPACE, &deployment])?;
    namespace.cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, &deployment, "--timeout=90s"])?;
    until(text, CLUSTER_TIMEOUT, || {
        let log = install::log(namespace.cluster)?;
        ensure!(log.contains(text), "the log is: {log}");
        Ok(())
    })
}

#[test]
fn older_crd_is_reported_and_drops_missing_fields() {
    with_exclusive_release("crd-skew", |namespace| {
        let cluster = namespace.cluster;
        install::install_release(cluster, &install::chart_path()?, &HELM_WAIT)?;
        restart_until_logged(namespace, "installed CRD has every field")?;
        let hub = ConnectedHub::start(namespace)?;
        let status = || Ok::<_, anyhow::Error>(namespace.get("notificationhub", "vault")?["status"].clone());
        ensure!(status()?["keys"].is_object(), "it is {}", status()?);

        let folder = tempfile::tempdir()?;
        install::install_release(cluster, &chart_with_old_crd(folder.path())?, &HELM_WAIT)?;
        restart_until_logged(namespace, "installed CRD is older than this operator")?;
        until("an Event names the fields", CLUSTER_TIMEOUT, || {
            let selector = "--field-selector=type=Warning,reason=CrdOutdated";
            let notes = cluster.kubectl(&["get", "events", "-n", "default", selector, "-o", "jsonpath={..message}"])?;
            ensure!(notes.contains("drops these fields: spec.limits, status.keys"), "they say: {notes}");
            Ok(())
        })?;
        let guarded = json!({"spec": {"networkPolicy": {"enabled": true}}}).to_string();
        namespace.kubectl(&["patch", "notificationhub", "vault", "--type=merge", "-p", &guarded])?;
        namespace.wait_condition("vault", "Ready", "True", "Available")?;
        ensure!(status()?["keys"].is_null() && status()?["url"].is_string(), "it is {}", status()?);
        hub.check_reconciled()?;

        install::install_release(cluster, &install::chart_path()?, &HELM_WAIT)?;
        restart_until_logged(namespace, "installed CRD has every field")?;
        until("the whole status", CLUSTER_TIMEOUT, || {
            ensure!(status()?["keys"].is_object(), "it is {}", status()?);
            Ok(())
        })?;
        hub.check_reconciled()
    });
}
