//! Many of Microsoft's clients in one Node.js process or in one page of a headless Chromium, driven by `clients/crowd.mjs`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// The timeout of a browser's start, and of a line of a client.
const LINE_TIMEOUT: Duration = Duration::from_secs(40);

/// The path of Chromium on Debian.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Clients in one process.
pub struct Crowd {
    process: Process,
    origin: Option<String>,
    _folder: TempDir,
}

impl Crowd {
    /// Starts a Node.js process without clients.
    pub fn in_node() -> Result<Self> {
        Self::start(&[])
    }

    /// Starts a page of a browser without clients.
    pub fn in_chromium() -> Result<Self> {
        Self::start(&["--browser", CHROMIUM])
    }

    fn start(options: &[&str]) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/crowd.mjs")).args(options);
        // The folder of the browser's profile and caches.
        let folder = tempfile::tempdir()?;
        command.env("TMPDIR", folder.path()).env("HOME", folder.path());
        let process = Process::start(&command)?;
        let ready = process.json("ready line", LINE_TIMEOUT, |line| line["ready"] == true)?;
        Ok(Self { process, origin: ready["origin"].as_str().map(str::to_owned), _folder: folder })
    }

    /// Returns the origin of the page, or `None` in Node.js.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Connects a client: its name in `client`, and the options of `build` in `clients/connection.mjs`.
    pub fn join(&mut self, client: &Value) -> Result<()> {
        self.process.write_line(&client.to_string())
    }

    /// Waits for a line of a client that `pick` accepts.
    pub fn line(&self, client: &str, what: &str, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        let wanted = |line: &Value| line["client"] == client && pick(line);
        self.process.json(what, LINE_TIMEOUT, wanted).with_context(|| client.to_owned())
    }

    /// Returns the lines of all clients so far.
    pub fn lines(&self) -> Vec<Value> {
        self.process.stdout().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Stops all clients and returns all their lines.
    pub fn stop(mut self) -> Result<Vec<Value>> {
        self.process.end_input();
        let status = self.process.wait(LINE_TIMEOUT)?;
        ensure!(status.success(), "{status}: {}", self.process.printed());
        Ok(self.lines())
    }
}
