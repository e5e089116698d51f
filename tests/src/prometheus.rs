//! A local Prometheus that scrapes every second.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;
use crate::{http, wait};

/// The timeout of a start.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running Prometheus.
pub struct Prometheus {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
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
        let file = folder.path().join("prometheus.yaml");
        std::fs::write(&file, settings)?;
        // Prometheus cannot choose a free port.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&command)?;
        let prometheus = Self { address, process, _folder: folder };
        wait::until("Prometheus is ready", START_TIMEOUT, || {
            let ready = http::get(address, "/-/ready").with_context(|| prometheus.process.printed())?;
            ensure!(ready.status == 200, "{}", ready.text());
            Ok(())
        })?;
        Ok(prometheus)
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

    fn request(&self, target: &str) -> Result<Value> {
        let mut answer = http::get(self.address, target)?.json()?;
        ensure!(answer["status"] == "success", "{target}: {answer}");
        Ok(answer["data"].take())
    }
}
