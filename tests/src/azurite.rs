//! Azurite, Microsoft's emulator of Azure Storage: the real queue protocol, with an account of its own in every run.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::Process;
use crate::storage_account::StorageAccount;
use crate::storage_queue::StorageQueue;

/// How long it may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Azurite.
pub struct Azurite {
    process: Process,
    port: u16,
    account: StorageAccount,
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
        let account = StorageAccount::generate();
        let (process, port) = run(&folder, &account, 0, in_memory)?;
        Ok(Self { process, port, account, folder, in_memory })
    }

    /// Ends it, as a machine that is shut down would.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(PATIENCE).map(drop)
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        (self.process, self.port) = run(&self.folder, &self.account, self.port, self.in_memory)?;
        Ok(())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key of the account.
    pub fn key(&self) -> &str {
        self.account.key()
    }

    /// A connection string with the key, through a port of this machine.
    pub fn connection_string(&self, port: u16) -> String {
        self.account.connection_string(&endpoint(port))
    }

    /// A connection string with a shared access signature.
    pub fn signed_connection_string(&self) -> Result<String> {
        self.account.signed_connection_string(&endpoint(self.port))
    }

    /// The same with one that lets nobody create a queue.
    pub fn limited_connection_string(&self) -> Result<String> {
        self.account.limited_connection_string(&endpoint(self.port))
    }

    /// A queue, for which nothing is asked of Azurite yet.
    pub fn queue(&self, name: &str) -> Result<StorageQueue> {
        self.account.queue((Ipv4Addr::LOCALHOST, self.port).into(), name)
    }
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn run(folder: &TempDir, account: &StorageAccount, port: u16, in_memory: bool) -> Result<(Process, u16)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules/azurite/dist/src/queue/main.js");
    let mut command = Command::new("node");
    command.arg(script).args(["--queuePort", &port.to_string(), "--skipApiVersionCheck", "--disableTelemetry"]);
    match in_memory {
        true => command.arg("--inMemoryPersistence"),
        false => command.arg("--location").arg(folder.path()),
    };
    command.env("AZURITE_ACCOUNTS", account.for_azurite());
    let process = Process::start(&command)?;
    let port = process.line("line with its port", PATIENCE, |line| {
        line.contains("successfully listens on").then(|| line.rsplit(':').next()?.trim().parse().ok()).flatten()
    })?;
    Ok((process, port))
}
