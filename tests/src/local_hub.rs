//! A hub as a process of this machine, with a key of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::http::{self, Connection, Response};
use crate::process::Process;
use crate::token::{self, Signer};
use crate::{programs, secrets};

/// How long a hub may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running hub.
pub struct LocalHub {
    /// Its process.
    pub process: Process,
    /// Where clients connect.
    pub public: SocketAddr,
    /// Where senders post; the public address if the source is a queue.
    pub internal: SocketAddr,
    /// Where probes ask.
    pub admin: SocketAddr,
    folder: TempDir,
    descriptors: Option<usize>,
    secret: Vec<u8>,
}

impl LocalHub {
    /// Starts a hub with a key of its own and these lines in its configuration file.
    pub fn start(settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), None, secret())
    }

    /// Starts another one that knows the same key.
    pub fn beside(other: &LocalHub, settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), None, other.secret.clone())
    }

    /// Starts a hub that may have so many file descriptors.
    pub fn start_with_descriptors(descriptors: usize, settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), Some(descriptors), secret())
    }

    /// Starts a hub that knows no keys but those of an identity server.
    pub fn start_with_authority(authority: &str, settings: &str) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, &format!("auth.authority = '{authority}'\n{settings}"), None, secret())
    }

    fn start_in(folder: TempDir, settings: &str, descriptors: Option<usize>, secret: Vec<u8>) -> Result<Self> {
        std::fs::create_dir(folder.path().join("keys"))?;
        std::fs::write(folder.path().join("keys/test.secret"), &secret)?;
        secrets::keep(&String::from_utf8_lossy(&secret));
        std::fs::write(folder.path().join("hub.toml"), format!("log.level = 'debug'\n{settings}\n"))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = run(&folder, descriptors, [any; 3])?;
        let public = process.listening("public", START)?;
        let internal = process.listening("internal", START).unwrap_or(public);
        let admin = process.listening("admin", START)?;
        Ok(Self { process, public, internal, admin, folder, descriptors, secret })
    }

    /// Kills it at once, and starts it again on the same ports.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(START)?;
        secrets::none_in("the killed hub's output", &self.process.printed());
        self.process = run(&self.folder, self.descriptors, [self.public, self.internal, self.admin])?;
        self.process.listening("public", START).map(drop)
    }

    /// The folder of its keys.
    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// The base of its clients' address.
    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// What signs with its key.
    pub fn signer(&self) -> Signer {
        Signer::secret(&self.secret)
    }

    /// A token of a user who is a member of these organisations.
    pub fn token(&self, user: &str, organizations: &[String]) -> Result<String> {
        self.signer().sign(&token::user(user, organizations, "ChromeBrowser", "test-device"))
    }

    /// Asks for a WebSocket, with the token in a header if there is one.
    pub fn upgrade(&self, token: Option<&str>) -> Result<(Response, Connection)> {
        let mut connection = Connection::open(self.public)?;
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        connection.write(http::upgrade("/hub", "hub", &authorization).as_bytes())?;
        Ok((connection.response()?, connection))
    }

    /// Posts bytes to `/send` with an internal token.
    pub fn post(&self, body: &[u8]) -> Result<Response> {
        let authorization = format!("Bearer {}", self.signer().sign(&token::internal())?);
        http::request(self.internal, "POST", "/send", &[("Authorization", &authorization)], body)
    }

    /// Pushes, and expects that it is taken.
    pub fn push(&self, push: &Value) -> Result<()> {
        let response = self.post(push.to_string().as_bytes())?;
        ensure!(response.status == 200, "the push was answered {}: {}", response.status, response.text());
        Ok(())
    }

    /// The value of a series, written with its labels.
    pub fn metric(&self, series: &str) -> Result<f64> {
        let text = http::get(self.admin, "/metrics")?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("there is no {series} in\n{text}"))
    }

    /// The sum of all series of a name; nought if there is none yet.
    pub fn total(&self, name: &str) -> Result<f64> {
        let text = http::get(self.admin, "/metrics")?.text();
        let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }
}

/// A new key.
fn secret() -> Vec<u8> {
    uuid::Uuid::new_v4().to_string().into_bytes()
}

/// Starts a hub with the configuration in a folder and these addresses for clients, senders and probes.
fn run(folder: &TempDir, descriptors: Option<usize>, addresses: [SocketAddr; 3]) -> Result<Process> {
    let program = programs::find("notification-hub")?;
    let mut command = match descriptors {
        None => Command::new(program),
        Some(limit) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {limit} && exec \"$0\" \"$@\"")]).arg(program);
            shell
        }
    };
    command.args(["serve", "--config"]).arg(folder.path().join("hub.toml"));
    for (listener, address) in ["--listen", "--internal-listen", "--admin-listen"].iter().zip(addresses) {
        command.args([*listener, &address.to_string()]);
    }
    Process::start(&command)
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        secrets::none_in("the hub's output", &self.process.printed());
        // A hub that has ended shows nothing more.
        if let Ok(metrics) = http::get(self.admin, "/metrics") {
            secrets::none_in("the hub's metrics", &metrics.text());
        }
    }
}
