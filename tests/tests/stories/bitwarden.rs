//! Migration from Bitwarden's own notifications service to a hub and back, by the commands of `docs/bitwarden.md` in a real
//! Kubernetes cluster. `tests/bitwarden-chart` replaces Bitwarden's chart, with the same names and values.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{folder, run};
use notification_hub_tests::deployed::{connect, folder_update, send};
use notification_hub_tests::http;
use notification_hub_tests::install;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::pages;
use notification_hub_tests::token;
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

const NOTIFICATIONS: &str = "bitwarden-self-host-notifications";

/// The issuer of the identity service: its URL without the port.
const ISSUER: &str = "http://bitwarden-self-host-identity";

/// The page, and a folder with the files that its commands use.
struct Page<'a> {
    namespace: &'a Namespace,
    text: String,
    folder: TempDir,
}

impl<'a> Page<'a> {
    fn open(namespace: &'a Namespace, key: &SigningKey) -> Result<Self> {
        let project = folder().parent().context("no project around the tests")?;
        let text = std::fs::read_to_string(project.join("docs/bitwarden.md"))?;
        let place = tempfile::tempdir()?;
        std::fs::create_dir(place.path().join("bitwarden"))?;
        let mut copy = Command::new("cp");
        run(copy.args(["-r"]).arg(folder().join("bitwarden-chart")).arg(place.path().join("bitwarden/self-host")))?;
        let mut copy = Command::new("cp");
        run(copy.current_dir(project).args(["-r", "crds"]).arg(place.path()))?;

        let node = install::image_name(namespace.cluster, "AZURITE_IMAGE", "nhub.test/azurite:test")?;
        let values = json!({ "standIn": node, "jwks": key.jwks });
        std::fs::write(place.path().join("my-values.yaml"), values.to_string())?;
        let page = Self { namespace, text, folder: place };
        let hub = install::image_name(namespace.cluster, "HUB_IMAGE", "nhub.test/hub:test")?;
        let (repository, tag) = hub.rsplit_once(':').context("the hub's image has no tag")?;
        let mut values: Value = serde_saphyr::from_str(pages::block(&page.text, "chart values")?)?;
        let image = &mut values["component"]["notifications"]["image"];
        ensure!(image["repository"].is_string() && image["tag"].is_string(), "the page names no image: {image}");
        *image = json!({ "repository": repository, "tag": tag });
        std::fs::write(page.folder.path().join("notification-hub.yaml"), values.to_string())?;
        Ok(page)
    }

    /// Runs a named block of commands in the test's namespace.
    fn run(&self, name: &'static str) -> Result<String> {
        self.commands(pages::block(&self.text, name)?).context(name)
    }

    fn commands(&self, commands: &str) -> Result<String> {
        let commands = commands.replace("--namespace bitwarden", &format!("--namespace {}", self.namespace.name));
        let mut shell = self.namespace.cluster.command("bash");
        run(shell.current_dir(self.folder.path()).args(["-euc", &commands]))
    }

    /// Returns the response of the Service to `/alive`.
    fn alive(&self) -> Result<String> {
        let endpoint = self.namespace.endpoint(NOTIFICATIONS, 5000)?;
        Ok(self.namespace.cluster.run_inside(|| http::get(endpoint.address, "/alive"))?.text())
    }

    /// Waits until the Service routes to the upstream service.
    fn wait_upstream(&self) -> Result<()> {
        until("the upstream service answers", CLUSTER_TIMEOUT, || {
            let answer = self.alive()?;
            ensure!(answer == "\"the original\"", "it is {answer}");
            Ok(())
        })
    }

    /// Waits until a push reaches a client, with tokens of the identity service.
    fn check_delivery(&self, key: &SigningKey, public: &str, sender: (&str, u16)) -> Result<()> {
        let sign = |mut claims: Value| {
            claims["iss"] = json!(ISSUER);
            key.signer()?.sign(&claims)
        };
        until("a push that arrives", CLUSTER_TIMEOUT, || {
            let (user, id) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
            let clients = self.namespace.endpoint(public, 5000)?;
            let client = connect(
                self.namespace,
                &clients,
                &sign(token::user(&user, &[], "ChromeBrowser", "device"))?,
                "messagepack",
            )?;
            let senders = self.namespace.endpoint(sender.0, sender.1)?;
            let sent = send(self.namespace, &senders, &sign(token::internal())?, &folder_update(&user, &id))?;
            ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
            client.notification(|push| push["Payload"]["Id"] == *id).map(drop)
        })
    }
}

#[test]
fn bitwarden_page_commands_migrate_to_a_hub_and_back() {
    namespace::with_namespace("bitwarden", |namespace| {
        let key = SigningKey::rs256()?;
        let page = Page::open(namespace, &key)?;
        namespace.set_secret(
            "custom-secret",
            "globalSettings__installation__id",
            "6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1",
        )?;
        // The command of Bitwarden's own instructions.
        page.commands(
            "helm upgrade bitwarden bitwarden/self-host --install --namespace bitwarden --values my-values.yaml --wait",
        )?;
        page.wait_upstream()?;

        page.run("chart to the hub")?;
        page.check_delivery(&key, NOTIFICATIONS, (NOTIFICATIONS, 5000))?;
        page.run("chart back")?;
        page.wait_upstream()?;

        let printed = page.run("hub beside the chart")?;
        ensure!(printed.contains(&format!("http://vault-internal.{}.svc:5001", namespace.name)), "{printed}");
        page.check_delivery(&key, "vault", ("vault-internal", 5001))?;
        page.wait_upstream()?;
        page.run("delete the hub")?;
        ensure!(namespace.get("notificationhub", "vault").is_err(), "the hub is still there");
        // They hold the id of the installation, which is in a Secret, too.
        until("the hub's objects are collected", CLUSTER_TIMEOUT, || {
            let left = namespace.children("deployments,replicasets,pods,configmaps", "vault")?;
            ensure!(left.is_empty(), "{} objects are left", left.len());
            Ok(())
        })?;
        // The block for Compose needs Docker, which the tests do not have.
        let blocks = page.text.matches("```sh\n").count();
        ensure!(blocks == 5, "the page has {blocks} blocks of commands, of which 4 were run");
        Ok(())
    });
}
