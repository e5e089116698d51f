//! A measured server as a process: the hub with its release code, or a control.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::callgrind;
use super::machine::Processors;
use super::push::{Audience, Push};
use crate::http::{self, Connection};
use crate::keys::SigningKey;
use crate::process::Process;
use crate::token::{self, Signer};

/// The timeout of a start, which takes long under valgrind.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The client timeout in ping intervals. A client that only answers pings is silent while pushes replace the server's pings.
const CLIENT_TIMEOUT_PINGS: u128 = 4;

/// A ping interval that is longer than any measurement.
const NO_PINGS: Duration = Duration::from_secs(600);

/// The program of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// `notification-hub serve`.
    Hub,
    /// The bare epoll loop (`bare-epoll`).
    Bare,
    /// A tokio task for each connection, and `try_write` for each delivery.
    Tokio,
    /// axum's WebSocket with default buffers.
    Axum,
    /// axum's WebSocket with small buffers.
    AxumSmall,
}

/// The options of a server.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// The program.
    pub kind: ServerKind,
    /// The bytes of the frame that a control pushes.
    pub frame: usize,
    /// Whether it runs under callgrind.
    pub valgrind: bool,
    /// Whether a hub also accepts the RS256 key, not only the shared secret.
    pub identity: bool,
    /// The ping interval, or `None` for the default: 15 s for the hub, and no pings for a control.
    pub ping: Option<Duration>,
    /// The address of Redis, for a hub with a backplane.
    pub redis: Option<SocketAddr>,
    /// The number among several servers of one kind.
    pub number: usize,
}

/// The environment of a run's servers: the folder of the programs, a folder for keys and counts, the CPUs.
pub struct BenchEnvironment {
    programs: PathBuf,
    folder: tempfile::TempDir,
    processors: Processors,
    secret: Vec<u8>,
    key: SigningKey,
}

/// A running server.
pub struct Server {
    process: Process,
    public: SocketAddr,
    admin: Option<SocketAddr>,
    sender: Connection,
    push_target: PushTarget,
    counts: PathBuf,
}

/// The internal listener of a server, with the credentials for pushes.
#[derive(Clone)]
pub struct PushTarget {
    /// The address of the internal listener.
    pub internal: SocketAddr,
    /// The `Authorization` header for a hub, or `None` for a control.
    authorization: Option<String>,
}

impl ServerKind {
    /// All controls.
    pub const CONTROLS: [Self; 4] = [Self::Bare, Self::Tokio, Self::Axum, Self::AxumSmall];

    /// Returns its title in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Bare => "bare epoll",
            Self::Tokio => "tokio",
            Self::Axum => "axum",
            Self::AxumSmall => "axum small",
        }
    }

    /// Returns the prefix of its keys in `bench.json`.
    pub fn key_prefix(self) -> &'static str {
        match self {
            Self::Hub => "",
            Self::Bare => "control_",
            Self::Tokio => "control_tokio_",
            Self::Axum => "control_axum_",
            Self::AxumSmall => "control_axum_small_",
        }
    }
}

impl ServerOptions {
    /// Returns default options, with the smallest frame.
    pub fn new(kind: ServerKind) -> Self {
        Self { kind, frame: 2, valgrind: false, identity: false, ping: None, redis: None, number: 0 }
    }

    /// Returns the options with the frame size of a control, in bytes.
    pub fn with_frame_bytes(self, frame: f64) -> Self {
        Self { frame: frame.round() as usize, ..self }
    }

    /// Returns the options without pings of the server.
    pub fn without_pings(self) -> Self {
        if self.kind == ServerKind::Hub { self.with_ping_interval(NO_PINGS) } else { self }
    }

    /// Returns the options with a ping interval.
    pub fn with_ping_interval(self, interval: Duration) -> Self {
        Self { ping: Some(interval), ..self }
    }
}

impl BenchEnvironment {
    /// Creates the environment with the programs in the folder of this one.
    pub fn new() -> Result<Self> {
        let this = std::env::current_exe()?;
        let programs = this.parent().context("no folder of programs")?.to_owned();
        let folder = tempfile::tempdir()?;
        let secret = uuid::Uuid::new_v4().to_string().into_bytes();
        let key = SigningKey::rs256()?;
        std::fs::create_dir(folder.path().join("keys"))?;
        std::fs::write(folder.path().join("keys/bench.secret"), &secret)?;
        std::fs::write(folder.path().join("keys/bench.pem"), &key.public_pem)?;
        for (name, keys) in [("hub.toml", &["bench.secret"][..]), ("identity.toml", &["bench.secret", "bench.pem"])] {
            let keys: Vec<PathBuf> = keys.iter().map(|key| folder.path().join("keys").join(key)).collect();
            std::fs::write(folder.path().join(name), format!("reactors = 1\n\n[auth]\nkeys = {keys:?}\n"))?;
        }
        Ok(Self { programs, folder, processors: Processors::split()?, secret, key })
    }

    /// Returns the signer of tokens that are cheap to verify (HS256).
    pub fn signer(&self) -> Signer {
        Signer::secret(&self.secret)
    }

    /// Returns the RS256 key, for tokens like those of an identity server.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Returns the output prefix of callgrind for a server.
    fn callgrind_output(&self, kind: ServerKind, number: usize) -> PathBuf {
        self.folder.path().join(format!("{}-{number}.callgrind", kind.title().replace(' ', "-")))
    }

    fn command(&self, options: ServerOptions) -> Result<Command> {
        let ServerOptions { kind, frame, valgrind, identity, ping, redis, number } = options;
        let program = self.programs.join(match kind {
            ServerKind::Hub => "notification-hub",
            ServerKind::Bare => "bare-epoll",
            ServerKind::Tokio | ServerKind::Axum | ServerKind::AxumSmall => "bench-peers",
        });
        if !program.exists() {
            bail!("no {}: build the hub and the benchmark with the profile `bench`", program.display());
        }
        let mut command = if valgrind {
            callgrind::command(&program, &self.callgrind_output(kind, number))
        } else {
            Command::new(program)
        };
        match kind {
            ServerKind::Hub => {
                let config = if identity { "identity.toml" } else { "hub.toml" };
                command.args(["serve", "--config"]).arg(self.folder.path().join(config));
                for listener in ["--listen-public", "--listen-internal", "--listen-admin"] {
                    command.args([listener, "127.0.0.1:0"]);
                }
                if let Some(redis) = redis {
                    command.env("NOTIFICATION_HUB__BACKPLANE__REDIS__URL", format!("redis://{redis}"));
                    // The syncs after a start are not measured: they come at once.
                    command.env("NOTIFICATION_HUB__CATCH_UP__SPREAD", "100ms");
                }
                if let Some(every) = ping {
                    let name = "NOTIFICATION_HUB__SIGNALR__";
                    command.env(format!("{name}KEEP_ALIVE_INTERVAL"), format!("{}ms", every.as_millis()));
                    command.env(
                        format!("{name}CLIENT_TIMEOUT_INTERVAL"),
                        format!("{}ms", CLIENT_TIMEOUT_PINGS * every.as_millis()),
                    );
                }
            }
            ServerKind::Tokio => drop(command.args(["--mode", "tokio"])),
            ServerKind::Axum => drop(command.args(["--mode", "axum"])),
            ServerKind::AxumSmall => drop(command.args(["--mode", "axum-small"])),
            ServerKind::Bare => {
                if let Some(every) = ping {
                    command.args(["--ping", &every.as_millis().to_string()]);
                }
            }
        }
        if kind != ServerKind::Hub {
            command.args(["--frame", &frame.to_string()]);
        }
        Ok(command)
    }

    /// Starts a Redis, under callgrind if `valgrind` is set. Returns the process and the address.
    pub fn redis(&self, valgrind: bool) -> Result<(Process, SocketAddr)> {
        let program = Path::new("/usr/bin/redis-server");
        let mut command = match valgrind {
            true => callgrind::command(program, &self.redis_callgrind_output()),
            false => Command::new(program),
        };
        // Redis cannot choose a free port.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        command.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
            &address.port().to_string(),
        ]);
        let process = self.processors.start(|| Process::start(&command))?;
        process.line("readiness", START_TIMEOUT, |line| line.contains("Ready to accept connections").then_some(()))?;
        Ok((process, address))
    }

    /// Returns the output prefix of callgrind for Redis.
    pub fn redis_callgrind_output(&self) -> PathBuf {
        self.folder.path().join("redis.callgrind")
    }

    /// Starts a server on its CPU and waits until it listens.
    pub fn start(&self, options: ServerOptions) -> Result<Server> {
        let (command, counts) = (self.command(options)?, self.callgrind_output(options.kind, options.number));
        let process = self.processors.start(|| Process::start(&command))?;
        let public = process.listening("public", START_TIMEOUT)?;
        let internal = process.listening("internal", START_TIMEOUT)?;
        let hub = options.kind == ServerKind::Hub;
        let admin = hub.then(|| process.listening("admin", START_TIMEOUT)).transpose()?;
        let sign = || Ok::<_, anyhow::Error>(format!("Bearer {}", self.signer().sign(&token::internal())?));
        let push_target = PushTarget { internal, authorization: hub.then(sign).transpose()? };
        Ok(Server { process, public, admin, sender: Connection::open(internal)?, push_target, counts })
    }
}

impl PushTarget {
    /// Returns the request for a push.
    pub fn request(&self, push: &Push) -> Vec<u8> {
        match &self.authorization {
            Some(authorization) => push.for_hub(self.internal, authorization),
            None => push.for_control(self.internal),
        }
    }
}

impl Server {
    /// Returns the id of the process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the output prefix of callgrind.
    pub fn callgrind_output(&self) -> &Path {
        &self.counts
    }

    /// Returns the address for clients.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Returns the internal listener with the credentials for pushes.
    pub fn push_target(&self) -> PushTarget {
        self.push_target.clone()
    }

    /// Opens a new connection for pushes, because the server may close an idle one.
    pub fn reconnect(&mut self) -> Result<()> {
        self.sender = Connection::open(self.push_target.internal)?;
        Ok(())
    }

    /// Sends a push and waits for the response.
    pub fn push(&mut self, audience: Audience) -> Result<()> {
        self.sender.write(&self.push_target.request(&Push::untimed(audience)))?;
        let response = self.sender.response()?;
        if response.status != 200 {
            bail!("the push was answered {}: {}", response.status, response.text());
        }
        Ok(())
    }

    /// Returns the value of a hub's series without the prefix `notification_hub_`, or 0 if there is none.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let admin = self.admin.context("only the hub has metrics")?;
        Ok(metric(&http::get(admin, "/metrics")?.text(), name).unwrap_or_default())
    }

    /// Returns the number of `write` system calls of the process. `send` calls do not count.
    pub fn writes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.id())).context("the server has ended")?;
        let count = text.lines().find_map(|line| line.strip_prefix("syscw: "));
        count.and_then(|count| count.parse().ok()).context("no syscw in its io")
    }

    /// Waits until the server is idle, which means that its CPU time does not grow any more.
    pub fn wait_idle(&self) -> Result<()> {
        const POLL_INTERVAL: Duration = Duration::from_millis(20);
        const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
        let deadline = Instant::now() + IDLE_TIMEOUT;
        let (mut last, mut equal) = (self.cpu_time_ns()?, 0);
        while equal < 5 {
            if Instant::now() > deadline {
                bail!("the server is still busy after {IDLE_TIMEOUT:?}");
            }
            std::thread::sleep(POLL_INTERVAL);
            let now = self.cpu_time_ns()?;
            equal = if now == last { equal + 1 } else { 0 };
            last = now;
        }
        Ok(())
    }

    /// Returns the CPU time of all threads in nanoseconds.
    pub fn cpu_time_ns(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id())).context("the server has ended")? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum +=
                text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).context("an invalid schedstat")?;
        }
        Ok(sum)
    }
}

fn metric(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("notification_hub_")?.strip_prefix(name)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_is_found_by_name_and_labels() {
        let text = "# HELP notification_hub_a_total x\nnotification_hub_a_total{b=\"c\"} 3\nnotification_hub_a 7\n";
        assert_eq!(metric(text, "a_total{b=\"c\"}"), Some(3.0));
        assert_eq!(metric(text, "a"), Some(7.0));
        assert_eq!(metric(text, "z"), None);
    }
}
