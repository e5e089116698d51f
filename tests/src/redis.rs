//! A Redis of a test's own, which keeps nothing.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use uuid::Uuid;

use crate::process::Process;
use crate::secrets;

/// How long it may take to start, to end and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running Redis, which lets nobody in without the password of a user.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    password: String,
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Result<Self> {
        // Redis can't choose one itself.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::keep(&password);
        let process = run(address, &password)?;
        Ok(Self { process, address, password })
    }

    /// Kills it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(PATIENCE).map(drop)
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        self.process = run(self.address, &self.password)?;
        Ok(())
    }

    /// The lines with which a hub uses it.
    pub fn settings(&self) -> String {
        format!(
            "backplane.redis.url = 'redis://{}'\nbackplane.redis.username = 'hub'\nbackplane.redis.password = '{}'\n",
            self.address, self.password
        )
    }

    /// Publishes bytes as any other server would; how many heard it.
    pub fn publish(&self, channel: &str, bytes: &[u8]) -> Result<usize> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut question = Vec::new();
        let login: [&[u8]; 3] = [b"AUTH", b"hub", self.password.as_bytes()];
        for command in [login, [b"PUBLISH", channel.as_bytes(), bytes]] {
            write!(question, "*{}\r\n", command.len())?;
            for part in command {
                write!(question, "${}\r\n", part.len())?;
                question.extend_from_slice(part);
                question.extend_from_slice(b"\r\n");
            }
        }
        stream.write_all(&question)?;
        let mut lines = BufReader::new(stream).lines();
        let mut line = || lines.next().context("Redis has hung up")?.context("no answer");
        let welcome = line()?;
        ensure!(welcome == "+OK", "{welcome}");
        let answer = line()?;
        let count = answer.strip_prefix(':').and_then(|count| count.parse().ok());
        count.with_context(|| format!("it was answered {answer}"))
    }
}

fn run(address: SocketAddr, password: &str) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--appendonly", "no"]);
    // What a hub needs: to publish, to listen, and to be told whether Redis is there.
    let password = format!(">{password}");
    command.args(["--user", "default", "off", "--user", "hub", "on", &password, "resetchannels", "&*"]);
    command.args(["-@all", "+publish", "+subscribe", "+unsubscribe", "+ping"]);
    let process = Process::start(&command)?;
    process.line("readiness", PATIENCE, |line| line.contains("Ready to accept connections").then_some(()))?;
    Ok(process)
}
