//! A Prometheus of a test's own, which collects every second.

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

/// How long it may take to start.
const START: Duration = Duration::from_secs(30);

/// A running Prometheus.
pub struct Prometheus {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that collects from jobs in the namespace `test`, and judges the rules of a file.
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
        // It can't choose one itself.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        let process = Process::start(&command)?;
        let it = Self { address, process, _folder: folder };
        wait::until("Prometheus is ready", START, || {
            let ready = http::get(address, "/-/ready").with_context(|| it.process.printed())?;
            ensure!(ready.status == 200, "{}", ready.text());
            Ok(())
        })?;
        Ok(it)
    }

    /// What an expression gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let mut target = "/api/v1/query?query=".to_owned();
        for byte in expression.bytes() {
            write!(target, "%{byte:02x}")?;
        }
        let mut answer = self.ask(&target)?;
        match answer["result"].take() {
            Value::Array(results) => Ok(results),
            other => anyhow::bail!("{expression} gives {other}"),
        }
    }

    /// Its rules, with their state.
    pub fn rules(&self) -> Result<Vec<Value>> {
        let answer = self.ask("/api/v1/rules")?;
        let groups = answer["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    fn ask(&self, target: &str) -> Result<Value> {
        let mut answer = http::get(self.address, target)?.json()?;
        ensure!(answer["status"] == "success", "{target}: {answer}");
        Ok(answer["data"].take())
    }
}
