//! Microsoft's SignalR client, as `clients/listen.mjs` drives it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::cluster::folder;
use crate::process::Process;

/// How long a client may take to start, and a push to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connected client.
pub struct Listener(Process);

impl Listener {
    /// Connects with one of the protocols `json` and `messagepack`, or fails with what the client said. `node` is the
    /// command that starts Node where the hub can be reached.
    pub fn connect(mut node: Command, url: &str, token: &str, protocol: &str) -> Result<Self> {
        node.arg(folder().join("clients/listen.mjs"));
        node.args(["--url", url, "--token", token, "--protocol", protocol]);
        let process = Process::start(&node)?;
        process.json("connection", PATIENCE, |line| line["connected"] == true)?;
        Ok(Self(process))
    }

    /// Waits for the message whose payload `pick` knows, and gives back the notification that it carries.
    pub fn notification(&self, mut pick: impl FnMut(&Value) -> bool) -> Result<Value> {
        let wanted = |line: &Value| line["target"] == "ReceiveMessage" && pick(&line["arguments"][0]);
        let line = self.0.json("message", PATIENCE, wanted)?;
        match line["arguments"].as_array().map(Vec::as_slice) {
            Some([notification]) => Ok(notification.clone()),
            _ => bail!("a message with other than one argument: {line}"),
        }
    }

    /// How many messages have arrived.
    pub fn messages(&self) -> usize {
        self.0.stdout().iter().filter(|line| line.contains("ReceiveMessage")).count()
    }

    /// Waits until the server has closed the connection.
    pub fn wait_closed(&self) -> Result<()> {
        self.0.json("close", PATIENCE, |line| line["closed"] == true).map(drop)
    }
}
