//! A local Azurite, Microsoft's emulator of Azure Storage, with a new account in each run.

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

/// The timeout of a start and of an end.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(30);

/// A running Azurite.
pub struct Azurite {
    process: Process,
    port: u16,
    account: StorageAccount,
    folder: TempDir,
    in_memory: bool,
}

impl Azurite {
    /// Starts an Azurite that keeps its queues in memory.
    pub fn start() -> Result<Self> {
        Self::start_with(true)
    }

    /// Starts an Azurite that keeps its queues in a folder, where they survive [`Self::restart`].
    pub fn start_on_disk() -> Result<Self> {
        Self::start_with(false)
    }

    fn start_with(in_memory: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let account = StorageAccount::generate();
        let (process, port) = spawn(&folder, &account, 0, in_memory)?;
        Ok(Self { process, port, account, folder, in_memory })
    }

    /// Ends the process with SIGTERM.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::TERM)?;
        self.process.wait(PROCESS_TIMEOUT).map(drop)
    }

    /// Starts the process again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        (self.process, self.port) = spawn(&self.folder, &self.account, self.port, self.in_memory)?;
        Ok(())
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the key of the account.
    pub fn key(&self) -> &str {
        self.account.key()
    }

    /// Returns a connection string with the key, for a local port.
    pub fn connection_string(&self, port: u16) -> String {
        self.account.connection_string(&endpoint(port))
    }

    /// Returns a connection string with a shared access signature.
    pub fn sas_connection_string(&self) -> Result<String> {
        self.account.sas_connection_string(&endpoint(self.port))
    }

    /// Returns a connection string with a shared access signature that has these permissions of queues.
    pub fn sas_connection_string_with(&self, permissions: &str) -> Result<String> {
        self.account.sas_connection_string_with(&endpoint(self.port), permissions)
    }

    /// Returns a queue, without a request to Azurite.
    pub fn queue(&self, name: &str) -> Result<StorageQueue> {
        self.account.queue((Ipv4Addr::LOCALHOST, self.port).into(), name)
    }
}

fn endpoint(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn spawn(folder: &TempDir, account: &StorageAccount, port: u16, in_memory: bool) -> Result<(Process, u16)> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules/azurite/dist/src/queue/main.js");
    let mut command = Command::new("node");
    command.arg(script).args(["--queuePort", &port.to_string(), "--skipApiVersionCheck", "--disableTelemetry"]);
    match in_memory {
        true => command.arg("--inMemoryPersistence"),
        false => command.arg("--location").arg(folder.path()),
    };
    command.env("AZURITE_ACCOUNTS", account.azurite_accounts());
    let process = Process::start(&command)?;
    let port = process.line("line with its port", PROCESS_TIMEOUT, |line| {
        line.contains("successfully listens on").then(|| line.rsplit(':').next()?.trim().parse().ok()).flatten()
    })?;
    Ok((process, port))
}
