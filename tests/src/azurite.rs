//! Azurite, Microsoft's emulator of Azure Storage: the real queue protocol, with an account of its own in every run.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::secrets;
use crate::storage_queue::StorageQueue;

/// The account's name.
const ACCOUNT: &str = "testaccount";

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Azurite.
pub struct Azurite {
    process: Process,
    port: u16,
    key: String,
    folder: TempDir,
    in_memory: bool,
}

impl Azurite {
    /// Starts one that keeps its queues in memory.
    pub fn start() -> Result<Self> {
        Self::begin(true)
    }

    /// Starts one that keeps its queues in a folder: they outlast [`Self::restart`].
    pub fn on_disk() -> Result<Self> {
        Self::begin(false)
    }

    fn begin(in_memory: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = BASE64_STANDARD.encode(uuid::Uuid::new_v4().to_string());
        secrets::keep(&key);
        let (process, port) = run(&folder, &key, 0, in_memory)?;
        Ok(Self { process, port, key, folder, in_memory })
    }

    /// Ends it, as a machine that is shut down would.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(PATIENCE).map(drop)
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        (self.process, self.port) = run(&self.folder, &self.key, self.port, self.in_memory)?;
        Ok(())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key of the account.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A connection string with the key, through a port of this machine.
    pub fn connection_string(&self, port: u16) -> String {
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={};QueueEndpoint={};",
            self.key,
            endpoint(port)
        )
    }

    /// A connection string with a shared access signature.
    pub fn signed_connection_string(&self) -> Result<String> {
        Ok(format!("QueueEndpoint={};SharedAccessSignature={}", endpoint(self.port), self.signature()?))
    }

    /// A queue, for which nothing is asked of Azurite yet.
    pub fn queue(&self, name: &str) -> Result<StorageQueue> {
        let address = format!("127.0.0.1:{}", self.port).parse()?;
        Ok(StorageQueue::new(address, &format!("/{ACCOUNT}/{name}"), &self.signature()?))
    }

    /// A shared access signature for everything that queues can do.
    fn signature(&self) -> Result<String> {
        let (rights, end, version) = ("rwdlacup", "2099-01-01T00:00:00Z", "2018-11-09");
        let text = format!("{ACCOUNT}\n{rights}\nq\nsco\n\n{end}\n\nhttp,https\n{version}\n");
        let key = BASE64_STANDARD.decode(&self.key).context("the key")?;
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
        let signature = BASE64_STANDARD.encode(signature);
        secrets::keep(&signature);
        let signature = signature.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        secrets::keep(&signature);
        Ok(format!("sv={version}&ss=q&srt=sco&sp={rights}&se={end}&spr=http,https&sig={signature}"))
    }
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}/{ACCOUNT}")
}

fn run(folder: &TempDir, key: &str, port: u16, in_memory: bool) -> Result<(Process, u16)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules/azurite/dist/src/queue/main.js");
    let mut command = Command::new("node");
    command.arg(script).args(["--queuePort", &port.to_string(), "--skipApiVersionCheck", "--disableTelemetry"]);
    match in_memory {
        true => command.arg("--inMemoryPersistence"),
        false => command.arg("--location").arg(folder.path()),
    };
    command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{key}"));
    let process = Process::start(&command)?;
    let port = process.line("line with its port", PATIENCE, |line| {
        line.contains("successfully listens on").then(|| line.rsplit(':').next()?.trim().parse().ok()).flatten()
    })?;
    Ok((process, port))
}
