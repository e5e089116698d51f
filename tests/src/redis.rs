//! A Redis of a test's own, which keeps nothing.

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
use crate::process::Process;
use crate::secrets;

/// How long it may take to start, to end and to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a hub needs (`docs/configuration.md`): to publish and to listen, to be told whether Redis is there, and to keep who missed
/// what, in a database of its own if the address names one.
pub const RIGHTS: [&str; 16] = [
    "resetchannels",
    "&*",
    "~*:catch-up:*",
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

/// What its certificate is for.
const NAME: &str = "IP:127.0.0.1";

/// A running Redis, which lets nobody in without the password of a user.
pub struct Redis {
    process: Process,
    address: SocketAddr,
    password: String,
    /// With TLS: its certificate, which vouches for itself, and a copy for those who believe it.
    certificate: Option<TempDir>,
    more: &'static [&'static str],
}

impl Redis {
    /// Starts one on a free port.
    pub fn start() -> Result<Self> {
        Self::begin(None, &[])
    }

    /// The same with more words on its command line, behind the user's rights.
    pub fn start_with(more: &'static [&'static str]) -> Result<Self> {
        Self::begin(None, more)
    }

    /// The same behind TLS.
    pub fn behind_tls() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        certificate::make(folder.path(), NAME)?;
        Self::begin(Some(folder), &[])
    }

    /// Gives it another certificate, which it has after its next start; who believes it is told.
    pub fn renew(&self) -> Result<()> {
        self.certificate.as_ref().map_or(Ok(()), |folder| certificate::make(folder.path(), NAME))
    }

    /// With TLS: the file of the authority that is to be believed.
    pub fn authority(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|folder| folder.path().join("authority"))
    }

    fn begin(certificate: Option<TempDir>, more: &'static [&'static str]) -> Result<Self> {
        // Redis can't choose one itself.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let password = Uuid::new_v4().simple().to_string();
        secrets::keep(&password);
        let process = run(address, &password, certificate.as_ref().map(TempDir::path), more)?;
        Ok(Self { process, address, password, certificate, more })
    }

    /// Kills it at once.
    pub fn kill(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(PATIENCE).map(drop)
    }

    /// Stops it as it is, until [`Self::resume`].
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) -> Result<()> {
        self.process = run(self.address, &self.password, self.certificate.as_ref().map(TempDir::path), self.more)?;
        Ok(())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The lines with which a hub uses it.
    pub fn settings(&self) -> String {
        self.settings_at(self.address)
    }

    /// The lines with which a hub keeps what it has to in another database of it.
    pub fn settings_in(&self, database: u8) -> String {
        self.settings().replacen(&self.address.to_string(), &format!("{}/{database}", self.address), 1)
    }

    /// The lines with which a hub uses it at the address of something in between.
    pub fn settings_at(&self, address: SocketAddr) -> String {
        let (scheme, authority) = match self.authority() {
            None => ("redis", String::new()),
            Some(file) => ("rediss", format!("backplane.redis.ca_file = {file:?}\n")),
        };
        format!(
            "backplane.redis.url = '{scheme}://{}'\nbackplane.redis.username = 'hub'\n\
             backplane.redis.password = '{}'\n{authority}",
            address, self.password
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

fn run(address: SocketAddr, password: &str, certificate: Option<&Path>, more: &[&str]) -> Result<Process> {
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
    command.args(RIGHTS).args(more);
    let process = Process::start(&command)?;
    process.line("readiness", PATIENCE, |line| line.contains("Ready to accept connections").then_some(()))?;
    Ok(process)
}
