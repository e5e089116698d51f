//! A local Redis without persistence.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use uuid::Uuid;

use crate::certificate;
use crate::cluster::run;
use crate::process::Process;
use crate::secrets;

/// The timeout of a start, an end and a response.
const REDIS_TIMEOUT: Duration = Duration::from_secs(20);

/// The ACL rules that a hub needs (`docs/configuration.md`): for publish and subscribe, health checks, catch-up, and a database
/// other than 0.
pub const ACL_RULES: [&str; 16] = [
    "resetchannels",
    "&*",
    "~{*:catch-up}:*",
    "-@all",
    "+select",
    "+ping",
    "+publish",
    "+subscribe",
    "+unsubscribe",
    "+info",
    "+time",
    "+eval",
    "+get",
    "+mget",
    "+set",
    "+del",
];

/// The subject of the certificate.
const NAME: &str = "IP:127.0.0.1";

/// A running Redis that requires the password of the user `hub`.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    password: String,
    /// The folder of the self-signed certificate, or `None` without TLS.
    certificate: Option<TempDir>,
    arguments: &'static [&'static str],
}

impl Redis {
    /// Starts a Redis at a free port.
    pub fn start() -> Result<Self> {
        Self::start_inner(None, &[])
    }

    /// Starts a Redis with further arguments behind the ACL rules.
    pub fn start_with_arguments(arguments: &'static [&'static str]) -> Result<Self> {
        Self::start_inner(None, arguments)
    }

    /// Starts a Redis with TLS.
    pub fn start_with_tls() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate::make(folder.path(), NAME)?;
        Self::start_inner(Some(folder), &[])
    }

    /// Starts a Redis with TLS and a certificate that has expired.
    pub fn start_with_expired_certificate() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate::make_expired(folder.path(), NAME)?;
        Self::start_inner(Some(folder), &[])
    }

    /// Replaces the certificate and the CA file. Redis uses them from its next start.
    pub fn renew_certificate(&self) -> Result<()> {
        self.certificate.as_ref().map_or(Ok(()), |folder| certificate::make(folder.path(), NAME))
    }

    /// Returns the CA file, or `None` without TLS.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|folder| folder.path().join("authority"))
    }

    fn start_inner(certificate: Option<TempDir>, arguments: &'static [&'static str]) -> Result<Self> {
        // Redis cannot choose a free port.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::register(&password);
        let process = spawn(address, &password, certificate.as_ref().map(TempDir::path), arguments)?;
        Ok(Self { process, address, password, certificate, arguments })
    }

    /// Kills the process.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(REDIS_TIMEOUT).map(drop)
    }

    /// Stops the process with SIGSTOP, until [`Self::resume`].
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Continues the process.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Starts it again at the same port, empty.
    pub fn restart(&mut self) -> Result<()> {
        let certificate = self.certificate.as_ref().map(TempDir::path);
        self.process = spawn(self.address, &self.password, certificate, self.arguments)?;
        Ok(())
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns the hub settings for this Redis.
    pub fn settings(&self) -> String {
        self.settings_at(self.address)
    }

    /// Returns the hub settings for a database of this Redis.
    pub fn settings_for_database(&self, database: u8) -> String {
        self.settings().replacen(&self.address.to_string(), &format!("{}/{database}", self.address), 1)
    }

    /// Returns the hub settings for this Redis at another address, such as a proxy's.
    pub fn settings_at(&self, address: SocketAddr) -> String {
        let (scheme, authority) = match self.ca_file() {
            None => ("redis", String::new()),
            Some(file) => ("rediss", format!("backplane.redis.ca_file = {file:?}\n")),
        };
        format!(
            "backplane.redis.url = '{scheme}://{}'\nbackplane.redis.username = 'hub'\n\
             backplane.redis.password = '{}'\n{authority}",
            address, self.password
        )
    }

    /// Closes the connections of a type (`normal` or `pubsub`) with `CLIENT KILL`. The user needs the right `+client`.
    pub fn kill_connections(&self, kind: &str) -> Result<()> {
        let mut command = Command::new("redis-cli");
        command.env("REDISCLI_AUTH", &self.password).args(["-p", &self.port().to_string(), "--user", "hub"]);
        let answer = run(command.args(["client", "kill", "type", kind]))?;
        ensure!(answer.trim().parse::<usize>().is_ok_and(|closed| closed > 0), "{answer}");
        Ok(())
    }

    /// Publishes bytes and returns the number of subscribers that received them.
    pub fn publish(&self, channel: &str, bytes: &[u8]) -> Result<usize> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(REDIS_TIMEOUT))?;
        let mut request = Vec::new();
        let login: [&[u8]; 3] = [b"AUTH", b"hub", self.password.as_bytes()];
        for command in [login, [b"PUBLISH", channel.as_bytes(), bytes]] {
            write!(request, "*{}\r\n", command.len())?;
            for part in command {
                write!(request, "${}\r\n", part.len())?;
                request.extend_from_slice(part);
                request.extend_from_slice(b"\r\n");
            }
        }
        stream.write_all(&request)?;
        let mut lines = BufReader::new(stream).lines();
        let mut line = || lines.next().context("Redis has closed the connection")?.context("no answer");
        let welcome = line()?;
        ensure!(welcome == "+OK", "{welcome}");
        let answer = line()?;
        let count = answer.strip_prefix(':').and_then(|count| count.parse().ok());
        count.with_context(|| format!("the answer is {answer}"))
    }
}

fn spawn(address: SocketAddr, password: &str, certificate: Option<&Path>, arguments: &[&str]) -> Result<Process> {
    let mut command = Command::new("redis-server");
    let port = address.port().to_string();
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    match certificate {
        None => command.args(["--port", &port]),
        Some(folder) => {
            command.args(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(folder.join("certificate"));
            command.arg("--tls-key-file").arg(folder.join("key"));
            command.arg("--tls-ca-cert-file").arg(folder.join("certificate"))
        }
    };
    let password = format!(">{password}");
    command.args(["--user", "default", "off", "--user", "hub", "on", &password]);
    command.args(ACL_RULES).args(arguments);
    let process = Process::start(&command)?;
    process.line("readiness", REDIS_TIMEOUT, |line| line.contains("Ready to accept connections").then_some(()))?;
    Ok(process)
}
