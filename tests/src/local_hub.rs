//! A hub as a local process, with a new signing key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{self, Connection, Response};
use crate::process::Process;
use crate::token::{self, Signer};
use crate::{programs, secrets};

/// The timeout of a start, and of an end after SIGKILL.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running hub.
pub struct LocalHub {
    /// The process of the hub.
    pub process: Process,
    /// The address of the public port.
    pub public: SocketAddr,
    /// The address of the internal port, or of the public port if the source is a queue.
    pub internal: SocketAddr,
    /// The address of the admin port.
    pub admin: SocketAddr,
    folder: TempDir,
    descriptors: Option<usize>,
    secret: Vec<u8>,
}

impl LocalHub {
    /// Starts a hub with a new key and these lines in its configuration file.
    pub fn start(settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), None, secret())
    }

    /// Starts a further hub with the key of another.
    pub fn start_replica(other: &LocalHub, settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), None, other.secret.clone())
    }

    /// Starts a hub with a limit of file descriptors.
    pub fn start_with_descriptor_limit(descriptors: usize, settings: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let keys = folder.path().join("keys");
        Self::start_in(folder, &format!("auth.keys = [{keys:?}]\n{settings}"), Some(descriptors), secret())
    }

    /// Starts a hub that accepts only the keys of an identity server.
    pub fn start_with_authority(authority: &str, settings: &str) -> Result<Self> {
        Self::start_in(tempfile::tempdir()?, &format!("auth.authority = '{authority}'\n{settings}"), None, secret())
    }

    fn start_in(folder: TempDir, settings: &str, descriptors: Option<usize>, secret: Vec<u8>) -> Result<Self> {
        std::fs::create_dir(folder.path().join("keys"))?;
        std::fs::write(folder.path().join("keys/test.secret"), &secret)?;
        secrets::register(&String::from_utf8_lossy(&secret));
        std::fs::write(folder.path().join("hub.toml"), format!("log.level = 'debug'\n{settings}\n"))?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = spawn(&folder, descriptors, [any; 3])?;
        let public = process.listening("public", START_TIMEOUT)?;
        let internal = process.listening("internal", START_TIMEOUT).unwrap_or(public);
        let admin = process.listening("admin", START_TIMEOUT)?;
        Ok(Self { process, public, internal, admin, folder, descriptors, secret })
    }

    /// Kills the hub and starts it again on the same ports.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.process.signal(Signal::KILL)?;
        self.process.wait(START_TIMEOUT)?;
        secrets::assert_none_in("the killed hub's output", &self.process.printed());
        self.process = spawn(&self.folder, self.descriptors, [self.public, self.internal, self.admin])?;
        self.process.listening("public", START_TIMEOUT).map(drop)
    }

    /// Returns the folder of its keys.
    pub fn keys(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// Returns the base URL for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.public)
    }

    /// Returns a signer with its key.
    pub fn signer(&self) -> Signer {
        Signer::secret(&self.secret)
    }

    /// Returns a token of a user with these organizations.
    pub fn token(&self, user: &str, organizations: &[String]) -> Result<String> {
        self.signer().sign(&token::user(user, organizations, "ChromeBrowser", "test-device"))
    }

    /// Requests a WebSocket, with the token in a header if there is one. Returns the response and the connection.
    pub fn upgrade(&self, token: Option<&str>) -> Result<(Response, Connection)> {
        let mut connection = Connection::open(self.public)?;
        let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        connection.write(http::upgrade_request("/hub", "hub", &authorization).as_bytes())?;
        Ok((connection.response()?, connection))
    }

    /// Posts a body to `/send` with an internal token.
    pub fn post(&self, body: &[u8]) -> Result<Response> {
        let authorization = format!("Bearer {}", self.signer().sign(&token::internal())?);
        http::request(self.internal, "POST", "/send", &[("Authorization", &authorization)], body)
    }

    /// Sends a push, and fails unless it is accepted.
    pub fn push(&self, push: &Value) -> Result<()> {
        let response = self.post(push.to_string().as_bytes())?;
        ensure!(response.status == 200, "the push was answered {}: {}", response.status, response.text());
        Ok(())
    }

    /// Sends a log-out to a user: a push of type 11, which a sync does not cover.
    pub fn log_out(&self, user: &str) -> Result<()> {
        self.push(&json!({ "type": 11, "payload": { "userId": user } }))
    }

    /// Returns the value of a series, by its name with labels.
    pub fn metric(&self, series: &str) -> Result<f64> {
        let text = http::get(self.admin, "/metrics")?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).with_context(|| format!("no series {series} in\n{text}"))
    }

    /// Returns the sum of all series of a metric, or 0 if there is none.
    pub fn metric_sum(&self, name: &str) -> Result<f64> {
        let text = http::get(self.admin, "/metrics")?.text();
        let values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }
}

/// Generates a signing key.
fn secret() -> Vec<u8> {
    uuid::Uuid::new_v4().to_string().into_bytes()
}

/// Starts a hub with the configuration in a folder, at these addresses for the public, internal and admin ports.
fn spawn(folder: &TempDir, descriptors: Option<usize>, addresses: [SocketAddr; 3]) -> Result<Process> {
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
    for (listener, address) in ["--listen-public", "--listen-internal", "--listen-admin"].iter().zip(addresses) {
        command.args([*listener, &address.to_string()]);
    }
    Process::start(&command)
}

impl Drop for LocalHub {
    fn drop(&mut self) {
        secrets::assert_none_in("the hub's output", &self.process.printed());
        // A hub that has ended serves no metrics.
        if let Ok(metrics) = http::get(self.admin, "/metrics") {
            secrets::assert_none_in("the hub's metrics", &metrics.text());
        }
    }
}
