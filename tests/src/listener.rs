//! Microsoft's SignalR client, as `clients/listen.mjs` drives it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::wait;

/// How long a client may take to start, and a push to arrive: the last syncs after a hub's start are sent a minute after it
/// (`decisions.md` 5).
const PATIENCE: Duration = Duration::from_secs(90);

/// Settings of a hub by which pushes are surely received within seconds instead of half a minute.
pub const QUICK_CATCH_UP: &str = "heartbeat = '1s'\nsignalr.keep_alive = '500ms'\ncatch_up.spread = '1s'\n";

/// A connected client.
pub struct Listener(Process);

/// The driver.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/listen.mjs")
}

impl Listener {
    /// Connects with one of the protocols `json` and `messagepack`, or fails with what the client said. `node` runs Node.js
    /// where the hub can be reached; `more` are further options of the driver.
    pub fn connect(mut node: Command, url: &str, token: &str, protocol: &str, more: &[&str]) -> Result<Self> {
        node.arg(script()).args(["--url", url, "--token", token, "--protocol", protocol]).args(more);
        let process = Process::start(&node)?;
        process.json("connection", PATIENCE, |line| line["connected"] == true)?;
        Ok(Self(process))
    }

    /// Waits for the message whose notification `pick` knows, and gives back that notification.
    pub fn notification(&self, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        let wanted = |line: &Value| line["target"] == "ReceiveMessage" && pick(&line["arguments"][0]);
        let line = self.line("message", wanted)?;
        match line["arguments"].as_array().map(Vec::as_slice) {
            Some([notification]) => Ok(notification.clone()),
            _ => bail!("a message with other than one argument: {line}"),
        }
    }

    /// Waits for a line of the driver.
    pub fn line(&self, what: &str, pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.0.json(what, PATIENCE, pick)
    }

    /// Waits until three more heartbeats have come: with [`QUICK_CATCH_UP`] what came before them is surely received once the hub
    /// hears from the client again, as it does when that says good-bye. By the second heartbeat, a second after the first, the
    /// hub has marked what it had written; the third comes more than a keep-alive interval later.
    pub fn live_on(&self) -> Result<()> {
        let beats = || self.0.stdout().iter().filter(|line| line.contains("\"Heartbeat\"")).count();
        let before = beats();
        wait::until("three heartbeats", PATIENCE, || {
            ensure!(beats() >= before + 3);
            Ok(())
        })
    }

    /// The driver's lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.stdout()
    }

    /// How many pushes have arrived.
    pub fn messages(&self) -> usize {
        self.0.stdout().iter().filter(|line| line.contains("ReceiveMessage")).count()
    }

    /// Says good-bye and ends.
    pub fn stop(mut self) -> Result<()> {
        self.0.end_input();
        let status = self.0.wait(PATIENCE)?;
        ensure!(status.success(), "{status}: {}", self.0.printed());
        Ok(())
    }

    /// Ends without a word.
    pub fn kill(mut self) -> Result<()> {
        self.0.signal(Signal::KILL)?;
        self.0.wait(PATIENCE).map(drop)
    }

    /// Waits until the server has closed the connection.
    pub fn wait_closed(&self) -> Result<()> {
        self.line("close", |line| line["closed"] == true).map(drop)
    }
}
