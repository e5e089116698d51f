//! Two servers of Redis, of which one follows the other, and a Sentinel that watches over them.

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

/// How long a server may take to start, and a failover to be over.
const PATIENCE: Duration = Duration::from_secs(60);

/// Under which the Sentinel knows them.
const SERVICE: &str = "vault";

/// The servers, one of which is the master, and their Sentinel.
pub struct Sentinels {
    servers: Vec<(u16, Process)>,
    sentinel: (u16, Process),
    password: String,
    _folder: TempDir,
}

impl Sentinels {
    /// Starts all of them on free ports, and waits until the second server follows the first.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::keep(&password);
        let [first, second, port] = [free()?, free()?, free()?];
        let start = |port, master| server(folder.path(), port, &password, master);
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
        wait::until("the Sentinel knows both", PATIENCE, || {
            let told = sentinels.ask(&["info", "sentinel"])?;
            ensure!(told.contains("status=ok") && told.contains("slaves=1"), "{told}");
            Ok(())
        })?;
        Ok(sentinels)
    }

    /// The lines with which a hub uses them: one Sentinel more is named, which is not there.
    pub fn settings(&self) -> String {
        self.settings_of(SERVICE)
    }

    /// The lines with which a hub uses another service.
    pub fn settings_of(&self, service: &str) -> String {
        let (port, password) = (self.sentinel.0, &self.password);
        format!(
            "backplane.redis.url = 'redis+sentinel://127.0.0.1:9,127.0.0.1:{port}/{service}'\n\
             backplane.redis.password = '{password}'\n"
        )
    }

    /// The lines with which a hub asks the servers themselves, that which follows first.
    pub fn settings_of_servers(&self) -> String {
        let servers: String = self.servers.iter().rev().map(|(port, _)| format!("127.0.0.1:{port},")).collect();
        format!("backplane.redis.url = '{servers}abortConnect=false,password={}'\n", self.password)
    }

    /// Has the other server become the master, while this one goes on as what follows it.
    pub fn fail_over(&self) -> Result<()> {
        let before = self.master()?;
        self.ask(&["sentinel", "failover", SERVICE])?;
        self.wait_for_another(before)
    }

    /// Kills the master, and waits until the other server is it.
    pub fn kill_master(&mut self) -> Result<()> {
        let master = self.master()?;
        let (_, process) = self.servers.iter_mut().find(|(port, _)| *port == master).context("an unknown master")?;
        process.signal(Signal::KILL)?;
        process.wait(PATIENCE)?;
        self.wait_for_another(master)
    }

    fn wait_for_another(&self, before: u16) -> Result<()> {
        wait::until("another master", PATIENCE, || {
            let now = self.master()?;
            ensure!(now != before, "it is still {now}");
            Ok(())
        })
    }

    fn master(&self) -> Result<u16> {
        let told = self.ask(&["sentinel", "get-master-addr-by-name", SERVICE])?;
        told.lines().nth(1).and_then(|port| port.parse().ok()).with_context(|| format!("no master: {told}"))
    }

    fn ask(&self, question: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-p", &self.sentinel.0.to_string()]).args(question).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn server(folder: &Path, port: u16, password: &str, master: Option<u16>) -> Result<Process> {
    let mut command = Command::new("redis-server");
    // Where it puts what it gets from its master.
    command.arg("--dir").arg(folder);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
    command.args(["--requirepass", password, "--masterauth", password, "--repl-diskless-sync-delay", "0"]);
    if let Some(master) = master {
        command.args(["--replicaof", "127.0.0.1", &master.to_string()]);
    }
    let process = Process::start(&command)?;
    process.line("readiness", PATIENCE, |line| line.contains("Ready to accept connections").then_some(()))?;
    Ok(process)
}

/// A port that nobody listens on.
fn free() -> Result<u16> {
    let address: SocketAddr = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    Ok(address.port())
}
