//! A server under measurement, as a process of its own: the hub with its release code, or a control.

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

/// How long a server may take to start; valgrind is slow.
const START: Duration = Duration::from_secs(60);

/// How many intervals of pings a client may be silent: one that only answers is, whenever a push stands for a ping.
const SILENCES: u128 = 4;

/// Longer than any measurement.
const QUIET: Duration = Duration::from_secs(600);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `notification-hub serve`.
    Hub,
    /// The bare epoll loop.
    Bare,
    /// A task for each connection, `try_write` for each delivery.
    Tokio,
    /// axum's WebSocket as it is.
    Axum,
    /// axum's WebSocket with small buffers.
    AxumSmall,
}

/// How a server is started.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Which one.
    pub kind: Kind,
    /// The bytes of the frame that a control pushes.
    pub frame: usize,
    /// Whether it runs under callgrind.
    pub valgrind: bool,
    /// Whether a hub believes the identity server's key too, not only the secret.
    pub identity: bool,
    /// After how long without output the server pings; the hub's own 15 s, and no pings of a control, unless set.
    pub ping: Option<Duration>,
    /// Where the Redis is that a hub shares with others.
    pub redis: Option<SocketAddr>,
    /// Which of several servers of one kind it is.
    pub number: usize,
}

/// What all servers of a run share: where the programs are, a folder for keys and counts, the processors.
pub struct Site {
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
    sending: Sending,
    counts: PathBuf,
}

/// How a server is asked for a push.
#[derive(Clone)]
pub struct Sending {
    /// Where it listens for that.
    pub internal: SocketAddr,
    /// What a hub asks for; controls ask for nothing.
    authorization: Option<String>,
}

impl Kind {
    /// All controls.
    pub const CONTROLS: [Self; 4] = [Self::Bare, Self::Tokio, Self::Axum, Self::AxumSmall];

    /// Its name in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Bare => "bare epoll",
            Self::Tokio => "tokio",
            Self::Axum => "axum",
            Self::AxumSmall => "axum small",
        }
    }

    /// What stands before its keys in `bench.json`.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Hub => "",
            Self::Bare => "control_",
            Self::Tokio => "control_tokio_",
            Self::Axum => "control_axum_",
            Self::AxumSmall => "control_axum_small_",
        }
    }
}

impl Setup {
    /// A server as it is, with the smallest frame.
    pub fn of(kind: Kind) -> Self {
        Self { kind, frame: 2, valgrind: false, identity: false, ping: None, redis: None, number: 0 }
    }

    /// Pushing frames of so many bytes.
    pub fn pushing(self, frame: f64) -> Self {
        Self { frame: frame.round() as usize, ..self }
    }

    /// Sending nothing but pushes: the hub's pings are put off, the controls have none.
    pub fn quiet(self) -> Self {
        if self.kind == Kind::Hub { self.pinging(QUIET) } else { self }
    }

    /// Pinging so often.
    pub fn pinging(self, every: Duration) -> Self {
        Self { ping: Some(every), ..self }
    }
}

impl Site {
    /// The programs are those built beside this one.
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

    /// What signs tokens that are cheap to verify.
    pub fn signer(&self) -> Signer {
        Signer::secret(&self.secret)
    }

    /// The key of an identity server, for tokens as they are in life.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    fn counts(&self, kind: Kind, number: usize) -> PathBuf {
        self.folder.path().join(format!("{}-{number}.callgrind", kind.title().replace(' ', "-")))
    }

    fn command(&self, setup: Setup) -> Result<Command> {
        let Setup { kind, frame, valgrind, identity, ping, redis, number } = setup;
        let program = self.programs.join(match kind {
            Kind::Hub => "notification-hub",
            Kind::Bare => "bare-epoll",
            Kind::Tokio | Kind::Axum | Kind::AxumSmall => "bench-peers",
        });
        if !program.exists() {
            bail!("no {}: build the hub and the tests' programs with the profile `bench`", program.display());
        }
        let mut command =
            if valgrind { callgrind::command(&program, &self.counts(kind, number)) } else { Command::new(program) };
        match kind {
            Kind::Hub => {
                let config = if identity { "identity.toml" } else { "hub.toml" };
                command.args(["serve", "--config"]).arg(self.folder.path().join(config));
                for listener in ["--listen", "--internal-listen", "--admin-listen"] {
                    command.args([listener, "127.0.0.1:0"]);
                }
                if let Some(redis) = redis {
                    command.env("NOTIFICATION_HUB__BACKPLANE__REDIS__URL", format!("redis://{redis}"));
                    // The syncs after a start are not measured: they come at once.
                    command.env("NOTIFICATION_HUB__CATCH_UP__SPREAD", "100ms");
                }
                if let Some(every) = ping {
                    let name = "NOTIFICATION_HUB__SIGNALR__";
                    command.env(format!("{name}KEEP_ALIVE"), format!("{}ms", every.as_millis()));
                    command.env(format!("{name}CLIENT_TIMEOUT"), format!("{}ms", SILENCES * every.as_millis()));
                }
            }
            Kind::Tokio => drop(command.args(["--mode", "tokio"])),
            Kind::Axum => drop(command.args(["--mode", "axum"])),
            Kind::AxumSmall => drop(command.args(["--mode", "axum-small"])),
            Kind::Bare => {
                if let Some(every) = ping {
                    command.args(["--ping", &every.as_millis().to_string()]);
                }
            }
        }
        if kind != Kind::Hub {
            command.args(["--frame", &frame.to_string()]);
        }
        Ok(command)
    }

    /// Starts a Redis, under callgrind or not.
    pub fn redis(&self, valgrind: bool) -> Result<(Process, SocketAddr)> {
        let program = Path::new("/usr/bin/redis-server");
        let mut command = match valgrind {
            true => callgrind::command(program, &self.redis_counts()),
            false => Command::new(program),
        };
        // Redis can't choose a port itself.
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
        process.line("readiness", START, |line| line.contains("Ready to accept connections").then_some(()))?;
        Ok((process, address))
    }

    /// Where callgrind writes what it counts in a Redis.
    pub fn redis_counts(&self) -> PathBuf {
        self.folder.path().join("redis.callgrind")
    }

    /// Starts a server and waits until it listens.
    pub fn start(&self, setup: Setup) -> Result<Server> {
        let (command, counts) = (self.command(setup)?, self.counts(setup.kind, setup.number));
        let process = self.processors.start(|| Process::start(&command))?;
        let public = process.listening("public", START)?;
        let internal = process.listening("internal", START)?;
        let hub = setup.kind == Kind::Hub;
        let admin = hub.then(|| process.listening("admin", START)).transpose()?;
        let sign = || Ok::<_, anyhow::Error>(format!("Bearer {}", self.signer().sign(&token::internal())?));
        let sending = Sending { internal, authorization: hub.then(sign).transpose()? };
        Ok(Server { process, public, admin, sender: Connection::open(internal)?, sending, counts })
    }
}

impl Sending {
    /// The request for a push.
    pub fn request(&self, push: &Push) -> Vec<u8> {
        match &self.authorization {
            Some(authorization) => push.for_hub(self.internal, authorization),
            None => push.for_control(self.internal),
        }
    }
}

impl Server {
    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where callgrind writes what it counts in it.
    pub fn counts(&self) -> &Path {
        &self.counts
    }

    /// Where clients connect.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// How it is asked for a push.
    pub fn sending(&self) -> Sending {
        self.sending.clone()
    }

    /// Asks on a new connection from now on: one that was not used for long may be closed.
    pub fn reconnect(&mut self) -> Result<()> {
        self.sender = Connection::open(self.sending.internal)?;
        Ok(())
    }

    /// Asks for a push and waits for its acceptance.
    pub fn push(&mut self, audience: Audience) -> Result<()> {
        self.sender.write(&self.sending.request(&Push::to(audience)))?;
        let response = self.sender.response()?;
        if response.status != 200 {
            bail!("the push was answered {}: {}", response.status, response.text());
        }
        Ok(())
    }

    /// A counter of the hub's metrics, as `slow_consumers_total{action="queued"}`; 0 where it does not stand.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let admin = self.admin.context("only the hub has metrics")?;
        Ok(metric(&http::get(admin, "/metrics")?.text(), name).unwrap_or_default())
    }

    /// How many times the process has called `write`, so far; what it sends by `send` does not count.
    pub fn writes(&self) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/io", self.id())).context("the server has ended")?;
        let count = text.lines().find_map(|line| line.strip_prefix("syscw: "));
        count.and_then(|count| count.parse().ok()).context("no syscw in its io")
    }

    /// Waits until the server has nothing more to do: its processor time no longer grows.
    pub fn rest(&self) -> Result<()> {
        const EVERY: Duration = Duration::from_millis(20);
        const PATIENCE: Duration = Duration::from_secs(30);
        let deadline = Instant::now() + PATIENCE;
        let (mut last, mut equal) = (self.processor_time()?, 0);
        while equal < 5 {
            if Instant::now() > deadline {
                bail!("the server was still busy after {PATIENCE:?}");
            }
            std::thread::sleep(EVERY);
            let now = self.processor_time()?;
            equal = if now == last { equal + 1 } else { 0 };
            last = now;
        }
        Ok(())
    }

    /// Nanoseconds on a processor, of all threads.
    pub fn processor_time(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id())).context("the server has ended")? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).context("an odd schedstat")?;
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
