//! Many of Microsoft's clients in one Node.js, or in one page of a headless Chromium, as `clients/crowd.mjs` drives them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::Process;

/// How long a browser may take to start, and a client for one thing.
const PATIENCE: Duration = Duration::from_secs(40);

/// The program of Debian's package.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Clients that share a process.
pub struct Crowd {
    process: Process,
    origin: Option<String>,
    _folder: TempDir,
}

impl Crowd {
    /// Nobody yet, in Node.js.
    pub fn in_node() -> Result<Self> {
        Self::start(&[])
    }

    /// Nobody yet, in a page of a browser.
    pub fn in_chromium() -> Result<Self> {
        Self::start(&["--browser", CHROMIUM])
    }

    fn start(options: &[&str]) -> Result<Self> {
        let mut command = Command::new("node");
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/crowd.mjs")).args(options);
        // Where a browser leaves its profile, and what it remembers of its user.
        let folder = tempfile::tempdir()?;
        command.env("TMPDIR", folder.path()).env("HOME", folder.path());
        let process = Process::start(&command)?;
        let ready = process.json("place for clients", PATIENCE, |line| line["ready"] == true)?;
        Ok(Self { process, origin: ready["origin"].as_str().map(str::to_owned), _folder: folder })
    }

    /// The origin of the page; none in Node.js.
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// One more client: its name in `client`, and what `build` of `clients/connection.mjs` takes.
    pub fn join(&mut self, client: &Value) -> Result<()> {
        self.process.tell(&client.to_string())
    }

    /// Waits for a line of a client.
    pub fn line(&self, client: &str, what: &str, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        let wanted = |line: &Value| line["client"] == client && pick(line);
        self.process.json(what, PATIENCE, wanted).with_context(|| client.to_owned())
    }

    /// What clients told so far.
    pub fn lines(&self) -> Vec<Value> {
        self.process.stdout().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Stops all of them, and gives back all that they told.
    pub fn stop(mut self) -> Result<Vec<Value>> {
        self.process.end_input();
        let status = self.process.wait(PATIENCE)?;
        ensure!(status.success(), "{status}: {}", self.process.printed());
        Ok(self.lines())
    }
}
