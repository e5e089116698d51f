//! A local Prometheus that scrapes every second.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::http::{self, Response};
use crate::process::Process;
use crate::wait;

/// The timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The file of the configuration in the folder of a Prometheus.
pub(crate) const CONFIGURATION: &str = "prometheus.yaml";

/// A running Prometheus.
pub struct Prometheus {
    address: SocketAddr,
    process: Process,
    folder: TempDir,
    /// The cluster in whose network it runs.
    cluster: Option<&'static Cluster>,
}

impl Prometheus {
    /// Starts a Prometheus that scrapes jobs with the namespace `test` and evaluates the rules in a file.
    pub fn start(jobs: &[(&str, SocketAddr)], rules: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let rules = rules.canonicalize()?;
        let mut settings =
            format!("global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [{rules:?}]\n");
        settings += "scrape_configs:\n";
        for (job, address) in jobs {
            writeln!(settings, "  - job_name: {job}")?;
            writeln!(settings, "    static_configs: [{{ targets: [{address:?}], labels: {{ namespace: test }} }}]")?;
        }
        std::fs::write(folder.path().join(CONFIGURATION), settings)?;
        Self::run(folder, None)
    }

    /// Starts a Prometheus with the configuration in a folder, in the network of a cluster if there is one.
    pub(crate) fn run(folder: TempDir, cluster: Option<&'static Cluster>) -> Result<Self> {
        let mut command = cluster.map_or_else(|| Command::new("prometheus"), |cluster| cluster.command("prometheus"));
        // Prometheus cannot choose a free port.
        let address = inside(cluster, || Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?))?;
        command.arg(format!("--config.file={}", folder.path().join(CONFIGURATION).display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}")).arg("--web.enable-lifecycle");
        let process = Process::start(&command)?;
        let prometheus = Self { address, process, folder, cluster };
        wait::until("Prometheus is ready", START_TIMEOUT, || {
            let ready = prometheus.send("GET", "/-/ready").with_context(|| prometheus.process.printed())?;
            ensure!(ready.status == 200, "{}", ready.text());
            Ok(())
        })?;
        Ok(prometheus)
    }

    /// Returns the folder with its configuration.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes it read its configuration again.
    pub(crate) fn reload(&self) -> Result<()> {
        let answer = self.send("POST", "/-/reload")?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    }

    /// Evaluates an expression now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut target = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(target, "%{byte:02x}")?;
        }
        let mut answer = self.request(&target)?;
        match answer["result"].take() {
            Value::Array(results) => Ok(results),
            other => anyhow::bail!("{expression}: no list: {other}"),
        }
    }

    /// Returns its rules with their state.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.request("/api/v1/rules")?;
        let groups = answer["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// Returns the names of all labels.
    pub fn labels(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.request("/api/v1/labels")?)?)
    }

    fn request(&self, target: &str) -> Result<Value> {
        let mut answer = self.send("GET", target)?.json()?;
        ensure!(answer["status"] == "success", "{target}: {answer}");
        Ok(answer["data"].take())
    }

    fn send(&self, method: &str, target: &str) -> Result<Response> {
        inside(self.cluster, || http::request(self.address, method, target, &[], b""))
    }
}

/// Runs a function in the network of a cluster if there is one.
fn inside<T: Send>(cluster: Option<&'static Cluster>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    match cluster {
        Some(cluster) => cluster.run_inside(work),
        None => work(),
    }
}
