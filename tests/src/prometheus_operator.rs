//! The Prometheus operator, and a Prometheus with the configuration that it generates.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::{folder, run};
use crate::namespace::{CLUSTER_TIMEOUT, Namespace};
use crate::process::Process;
use crate::prometheus::{CONFIGURATION, Prometheus};
use crate::scrape_discovery;
use crate::wait::until;

/// The name of the Prometheus.
const NAME: &str = "tested";

/// The label by which the Prometheus selects monitors and rules. Its value is the name of the namespace.
pub const SELECTOR_LABEL: &str = "prometheus";

/// The folder of rules in the generated configuration.
const RULES: &str = "/etc/prometheus/rules";

/// Prints the generated configuration.
const UNPACK: &str = r#"
set -o pipefail
kubectl get secret --namespace "$0" "prometheus-$1" -o 'jsonpath={.data.prometheus\.yaml\.gz}' | base64 -d | gunzip"#;

/// A running Prometheus operator and the Prometheus that it configures. The operator creates no pod for it.
pub struct OperatedPrometheus<'a> {
    namespace: &'a Namespace,
    prometheus: Prometheus,
    operator: Process,
}

impl<'a> OperatedPrometheus<'a> {
    /// Starts both in the cluster's network. The Prometheus scrapes and evaluates every second.
    pub fn start(namespace: &'a Namespace) -> Result<Self> {
        let program = run(Command::new(folder().join("controllers/build.sh")).arg("prometheus-operator"))?;
        let mut command = namespace.cluster.command(program.trim());
        let operator = Process::start(command.arg("--web.listen-address=127.0.0.1:0"))?;
        namespace.apply(&resource(namespace)?)?;
        let folder = tempfile::tempdir()?;
        until("the configuration is generated", CLUSTER_TIMEOUT, || {
            copy_configuration(namespace, folder.path()).with_context(|| operator.printed())
        })?;
        let prometheus = Prometheus::run(folder, Some(namespace.cluster))?;
        Ok(Self { namespace, prometheus, operator })
    }

    /// Reloads the configuration with the present targets. In a pod, the operator's sidecar and Prometheus itself do that.
    pub fn refresh(&self) -> Result<()> {
        copy_configuration(self.namespace, self.prometheus.folder())?;
        self.prometheus.reload()
    }

    /// Returns the Prometheus.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// Returns the log of the operator.
    pub fn printed(&self) -> String {
        self.operator.printed()
    }
}

fn resource(namespace: &Namespace) -> Result<Value> {
    let shown = run(Command::new("prometheus").arg("--version"))?;
    let version = shown.strip_prefix("prometheus, version ").context("no version")?;
    let version = version.split([' ', '+']).next().unwrap_or_default();
    let selector = json!({"matchLabels": {SELECTOR_LABEL: namespace.name}});
    Ok(json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "Prometheus", "metadata": {"name": NAME},
        "spec": {
            "version": version, "replicas": 0, "scrapeInterval": "1s", "evaluationInterval": "1s",
            "serviceMonitorSelector": selector, "serviceMonitorNamespaceSelector": {},
            "podMonitorSelector": selector, "podMonitorNamespaceSelector": {},
            "ruleSelector": selector, "ruleNamespaceSelector": {},
        },
    }))
}

/// Copies the generated configuration and rules to a folder, the rules without their delays.
fn copy_configuration(namespace: &Namespace, into: &Path) -> Result<()> {
    let text = run(namespace.cluster.command("bash").args(["-c", UNPACK, &namespace.name, NAME]))?;
    ensure!(!text.is_empty(), "there is no configuration yet");
    let rules = into.to_str().context("a path that is not UTF-8")?;
    let text = text.replace(RULES, rules).replace("$(SHARD)", "0").replace("$(POD_NAME)", NAME);
    let mut settings: Value = serde_saphyr::from_str(&text)?;
    scrape_discovery::resolve(namespace.cluster, &mut settings)?;
    std::fs::write(into.join(CONFIGURATION), settings.to_string())?;
    let selector = format!("prometheus-name={NAME}");
    let maps: Value =
        serde_json::from_str(&namespace.kubectl(&["get", "configmaps", "-l", &selector, "-o", "json"])?)?;
    for map in maps["items"].as_array().context("no list")? {
        let folder = into.join(map["metadata"]["name"].as_str().context("no name")?);
        std::fs::create_dir_all(&folder)?;
        for (name, text) in map["data"].as_object().into_iter().flatten() {
            let lines = text.as_str().context("no text")?.lines();
            let rules: Vec<&str> = lines.filter(|line| !line.trim_start().starts_with("for: ")).collect();
            std::fs::write(folder.join(name), rules.join("\n"))?;
        }
    }
    Ok(())
}
