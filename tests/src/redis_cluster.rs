//! A Redis Cluster: three masters, and a replica of the one that has the records of catch-up.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use uuid::Uuid;

use crate::process::Process;
use crate::redis::ACL_RULES;
use crate::{secrets, wait};

/// The timeout of a start, a failover and a reshard.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(60);

/// The slots of each master.
const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

/// The index of the node that is a replica at the beginning.
const REPLICA: usize = 3;

/// A key with the hash tag of the records.
const RECORD_KEY: &str = "{Notifications:catch-up}:any";

/// One node.
struct ClusterNode {
    port: u16,
    bus_port: u16,
    process: Process,
}

/// A running cluster.
pub struct RedisCluster {
    /// Three masters, and the replica.
    nodes: Vec<ClusterNode>,
    /// The index of the master that has the records.
    owner: usize,
    slot: u16,
    password: String,
    _folder: TempDir,
}

impl RedisCluster {
    /// Starts the nodes at free ports, and waits until they are a cluster.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::register(&password);
        let nodes = (0..4).map(|_| ClusterNode::start(&folder, &password)).collect::<Result<Vec<_>>>()?;
        let mut cluster = Self { nodes, owner: 0, slot: 0, password, _folder: folder };
        cluster.slot = cluster.cli(0, &["cluster", "keyslot", RECORD_KEY])?.trim().parse()?;
        cluster.owner = cluster.first_owner()?;
        for (index, (first, last)) in SLOTS.into_iter().enumerate() {
            cluster.cli(index, &["cluster", "addslotsrange", &first.to_string(), &last.to_string()])?;
            cluster.cli(index, &["cluster", "set-config-epoch", &(index + 1).to_string()])?;
        }
        for ClusterNode { port, bus_port, .. } in &cluster.nodes[1..] {
            cluster.cli(0, &["cluster", "meet", "127.0.0.1", &port.to_string(), &bus_port.to_string()])?;
        }
        let master = cluster.id(cluster.owner)?;
        wait::until("the replica is one", CLUSTER_TIMEOUT, || {
            cluster.cli(REPLICA, &["cluster", "replicate", &master])?;
            let info = cluster.cli(REPLICA, &["info", "replication"])?;
            ensure!(info.contains("master_link_status:up"), "{info}");
            Ok(())
        })?;
        (0..4).try_for_each(|index| cluster.wait_ok(index))?;
        Ok(cluster)
    }

    /// Returns the hub settings with all masters.
    pub fn settings(&self) -> String {
        self.settings_for(&[0, 1, 2])
    }

    /// Returns the hub settings with one master that does not have the records.
    pub fn settings_for_other_master(&self) -> String {
        self.settings_for(&[(self.owner + 1) % 3])
    }

    fn settings_for(&self, nodes: &[usize]) -> String {
        let nodes: String = nodes.iter().map(|index| format!("127.0.0.1:{},", self.nodes[*index].port)).collect();
        format!("backplane.redis.url = '{nodes}user=hub,password={}'\n", self.password)
    }

    /// Kills the master that has the records, and waits until its replica is promoted.
    pub fn kill_owner(&mut self) -> Result<()> {
        let process = &mut self.nodes[self.owner].process;
        process.signal(Signal::KILL)?;
        process.wait(CLUSTER_TIMEOUT)?;
        self.owner = REPLICA;
        wait::until("the replica is promoted", CLUSTER_TIMEOUT, || {
            let info = self.cli(REPLICA, &["info", "replication"])?;
            ensure!(info.contains("role:master"), "{info}");
            Ok(())
        })?;
        self.wait_ok(REPLICA)
    }

    /// Moves the slot of the records to another master, while clients use it. The first owner must have been killed.
    pub fn move_records(&mut self) -> Result<()> {
        let first_owner = self.first_owner()?;
        let [to, other] = [(first_owner + 1) % 3, (first_owner + 2) % 3];
        let from = std::mem::replace(&mut self.owner, to);
        let [from_id, to_id] = [self.id(from)?, self.id(to)?];
        let slot = self.slot.to_string();
        self.cli(to, &["cluster", "setslot", &slot, "importing", &from_id])?;
        self.cli(from, &["cluster", "setslot", &slot, "migrating", &to_id])?;
        let port = self.nodes[to].port.to_string();
        loop {
            let keys = self.cli(from, &["cluster", "getkeysinslot", &slot, "100"])?;
            let keys: Vec<&str> = keys.split_whitespace().collect();
            if keys.is_empty() {
                break;
            }
            let migrate = ["migrate", "127.0.0.1", &port, "", "0", "5000", "auth", &self.password, "keys"];
            self.cli(from, &[&migrate, &keys[..]].concat())?;
        }
        for index in [to, from, other] {
            self.cli(index, &["cluster", "setslot", &slot, "node", &to_id])?;
        }
        Ok(())
    }

    /// Returns the index of the master that has the records at the beginning.
    fn first_owner(&self) -> Result<usize> {
        SLOTS.iter().position(|(_, last)| self.slot <= *last).context("a slot beyond the last")
    }

    fn id(&self, index: usize) -> Result<String> {
        Ok(self.cli(index, &["cluster", "myid"])?.trim().to_owned())
    }

    /// Waits until a node sees every slot served, and all other nodes.
    fn wait_ok(&self, index: usize) -> Result<()> {
        wait::until("the cluster is complete", CLUSTER_TIMEOUT, || {
            let info = self.cli(index, &["cluster", "info"])?;
            ensure!(info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4"), "{info}");
            Ok(())
        })
    }

    fn cli(&self, index: usize, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("redis-cli");
        command.env("REDISCLI_AUTH", &self.password).args(["-p", &self.nodes[index].port.to_string()]);
        let output = command.args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let is_error = ["ERR", "NOPERM", "NOAUTH", "MOVED", "IOERR"].iter().any(|kind| text.starts_with(kind));
        ensure!(
            output.status.success() && !is_error,
            "{arguments:?}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }
}

impl ClusterNode {
    fn start(folder: &TempDir, password: &str) -> Result<ClusterNode> {
        let [port, bus_port] = [free_port()?, free_port()?];
        let own = folder.path().join(port.to_string());
        std::fs::create_dir(&own)?;
        let mut command = Command::new("redis-server");
        command.arg("--dir").arg(&own);
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
        command.args(["--port", &port.to_string(), "--cluster-port", &bus_port.to_string()]);
        command.args(["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]);
        command.args(["--requirepass", password, "--masterauth", password]);
        command.args(["--user", "hub", "on", &format!(">{password}")]).args(ACL_RULES).arg("+role");
        let process = Process::start(&command)?;
        process
            .line("readiness", CLUSTER_TIMEOUT, |line| line.contains("Ready to accept connections").then_some(()))?;
        Ok(ClusterNode { port, bus_port, process })
    }
}

/// Returns a free port.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
