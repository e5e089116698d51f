//! A Redis master, its replica, and a Sentinel.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::Process;
use crate::{secrets, wait};

/// The timeout of a start and of a failover.
const SENTINEL_TIMEOUT: Duration = Duration::from_secs(60);

/// The service name of the master.
const SERVICE: &str = "vault";

/// Two servers, one of which is the master, and their Sentinel.
pub struct Sentinels {
    servers: Vec<(u16, Process)>,
    sentinel: (u16, Process),
    password: String,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts all three at free ports, and waits until the second server replicates the first.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::register(&password);
        let [first, second, port] = [free_port()?, free_port()?, free_port()?];
        let start = |port, master| start_server(folder.path(), port, &password, master);
        let servers = vec![(first, start(first, None)?), (second, start(second, Some(first))?)];
        let file = folder.path().join("sentinel.conf");
        std::fs::write(
            &file,
            format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor {SERVICE} 127.0.0.1 {first} 1\n\
                 sentinel auth-pass {SERVICE} {password}\nsentinel down-after-milliseconds {SERVICE} 1000\n\
                 sentinel failover-timeout {SERVICE} 5000\n"
            ),
        )?;
        let sentinel = Process::start(Command::new("redis-server").arg(&file).arg("--sentinel"))?;
        let sentinels = Self { servers, sentinel: (port, sentinel), password, _folder: folder };
        wait::until("the Sentinel knows both", SENTINEL_TIMEOUT, || {
            let info = sentinels.run_cli(&["info", "sentinel"])?;
            ensure!(info.contains("status=ok") && info.contains("slaves=1"), "{info}");
            Ok(())
        })?;
        Ok(sentinels)
    }

    /// Returns the hub settings for the Sentinel. They also name a Sentinel that does not exist.
    pub fn settings(&self) -> String {
        self.settings_for_service(SERVICE)
    }

    /// Returns the hub settings for a service name.
    pub fn settings_for_service(&self, service: &str) -> String {
        let (port, password) = (self.sentinel.0, &self.password);
        format!(
            "backplane.redis.url = 'redis+sentinel://127.0.0.1:9,127.0.0.1:{port}/{service}'\n\
             backplane.redis.password = '{password}'\n"
        )
    }

    /// Returns the hub settings with a list of both servers, the replica first, and no Sentinel.
    pub fn settings_for_servers(&self) -> String {
        let servers: String = self.servers.iter().rev().map(|(port, _)| format!("127.0.0.1:{port},")).collect();
        format!("backplane.redis.url = '{servers}abortConnect=false,password={}'\n", self.password)
    }

    /// Makes the other server the master. The old master becomes its replica.
    pub fn fail_over(&self) -> Result<()> {
        let before = self.master()?;
        self.run_cli(&["sentinel", "failover", SERVICE])?;
        self.wait_for_new_master(before)
    }

    /// Kills the master and waits until the other server is promoted.
    pub fn kill_master(&mut self) -> Result<()> {
        let master = self.master()?;
        let (_, process) = self.servers.iter_mut().find(|(port, _)| *port == master).context("an unknown master")?;
        process.signal(Signal::KILL)?;
        process.wait(SENTINEL_TIMEOUT)?;
        self.wait_for_new_master(master)
    }

    fn wait_for_new_master(&self, before: u16) -> Result<()> {
        wait::until("another master", SENTINEL_TIMEOUT, || {
            let now = self.master()?;
            ensure!(now != before, "it is still {now}");
            Ok(())
        })
    }

    fn master(&self) -> Result<u16> {
        let address = self.run_cli(&["sentinel", "get-master-addr-by-name", SERVICE])?;
        address.lines().nth(1).and_then(|port| port.parse().ok()).with_context(|| format!("no master: {address}"))
    }

    fn run_cli(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-p", &self.sentinel.0.to_string()]).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn start_server(folder: &Path, port: u16, password: &str, master: Option<u16>) -> Result<Process> {
    let mut command = Command::new("redis-server");
    // The folder for the data from its master.
    command.arg("--dir").arg(folder);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    command.args(["--requirepass", password, "--masterauth", password, "--repl-diskless-sync-delay", "0"]);
    if let Some(master) = master {
        command.args(["--replicaof", "127.0.0.1", &master.to_string()]);
    }
    let process = Process::start(&command)?;
    process.line("readiness", SENTINEL_TIMEOUT, |line| line.contains("Ready to accept connections").then_some(()))?;
    Ok(process)
}

/// Returns a free port.
fn free_port() -> Result<u16> {
    let address: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    Ok(address.port())
}
