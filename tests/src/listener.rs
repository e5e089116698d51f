//! Microsoft's SignalR client, driven by `clients/listen.mjs`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rustix::process::Signal;
use serde_json::Value;

use crate::process::Process;
use crate::wait;

/// The timeout of a start and of a push. It is long, because a hub sends the last syncs a minute after its start (`decisions.md`
/// 5).
const LINE_TIMEOUT: Duration = Duration::from_secs(90);

/// Hub settings with which a push counts as received after seconds instead of half a minute.
pub const QUICK_CATCH_UP: &str =
    "heartbeat_interval = '1s'\nsignalr.keep_alive_interval = '500ms'\ncatch_up.spread = '1s'\n";

/// A connected client.
pub struct Listener(Process);

/// Returns the path of the driver.
pub fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/listen.mjs")
}

impl Listener {
    /// Connects with the protocol `json` or `messagepack`. `node` runs Node.js in the hub's network, and `more` are further
    /// options of the driver.
    pub fn connect(mut node: Command, url: &str, token: &str, protocol: &str, more: &[&str]) -> Result<Self> {
        node.arg(script()).args(["--url", url, "--token", token, "--protocol", protocol]).args(more);
        let process = Process::start(&node)?;
        process.json("connection", LINE_TIMEOUT, |line| line["connected"] == true)?;
        Ok(Self(process))
    }

    /// Waits for a push that `pick` accepts, and returns it.
    pub fn notification(&self, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        let wanted = |line: &Value| line["target"] == "ReceiveMessage" && pick(&line["arguments"][0]);
        let line = self.line("message", wanted)?;
        match line["arguments"].as_array().map(Vec::as_slice) {
            Some([notification]) => Ok(notification.clone()),
            _ => bail!("a message with other than one argument: {line}"),
        }
    }

    /// Waits for a line of the driver that `pick` accepts.
    pub fn line(&self, what: &str, pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        self.0.json(what, LINE_TIMEOUT, pick)
    }

    /// Waits for three further heartbeats. With [`QUICK_CATCH_UP`], the hub then counts earlier pushes as received as soon as the
    /// client sends something, such as its Close. By the second heartbeat, a second after the first, the hub has recorded what it
    /// had written. The third arrives more than a keep-alive interval later.
    pub fn wait_three_heartbeats(&self) -> Result<()> {
        let heartbeats = || self.0.stdout().iter().filter(|line| line.contains("\"Heartbeat\"")).count();
        let before = heartbeats();
        wait::until("three heartbeats", LINE_TIMEOUT, || {
            ensure!(heartbeats() >= before + 3);
            Ok(())
        })
    }

    /// Returns the lines of the driver so far.
    pub fn lines(&self) -> Vec<String> {
        self.0.stdout()
    }

    /// Returns the number of pushes so far that are no `SyncVault`, which a client gets when the hub does not know what it missed.
    pub fn push_count_without_syncs(&self) -> usize {
        let is_sync = |line: &str| line.contains("\"type\":5,") || line.contains("\"Type\":5,");
        self.0.stdout().iter().filter(|line| line.contains("ReceiveMessage") && !is_sync(line)).count()
    }

    /// Returns the number of pushes so far.
    pub fn push_count(&self) -> usize {
        self.0.stdout().iter().filter(|line| line.contains("ReceiveMessage")).count()
    }

    /// Closes the connection cleanly and ends the client.
    pub fn stop(mut self) -> Result<()> {
        self.0.end_input();
        let status = self.0.wait(LINE_TIMEOUT)?;
        ensure!(status.success(), "{status}: {}", self.0.printed());
        Ok(())
    }

    /// Kills the client.
    pub fn kill(mut self) -> Result<()> {
        self.0.signal(Signal::KILL)?;
        self.0.wait(LINE_TIMEOUT).map(drop)
    }

    /// Waits until the server has closed the connection.
    pub fn wait_closed(&self) -> Result<()> {
        self.line("close", |line| line["closed"] == true).map(drop)
    }
}
