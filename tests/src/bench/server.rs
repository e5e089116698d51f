//! A server under measurement, as a process of its own: the hub with its release code, or the control.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::callgrind;
use super::machine::Processors;
use crate::http::Connection;
use crate::process::Process;
use crate::token::{self, Signer};

/// How long a server may take to start; valgrind is slow.
const START: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `notification-hub serve`.
    Hub,
    /// The bare epoll loop, which pushes frames of this many bytes.
    Control {
        /// The length of a pushed frame with its head.
        frame: usize,
    },
}

/// What all servers of a run share: where the programs are, a folder for keys and counts, the processors.
pub struct Site {
    programs: PathBuf,
    folder: tempfile::TempDir,
    processors: Processors,
    secret: Vec<u8>,
}

/// A running server.
pub struct Server {
    process: Process,
    public: SocketAddr,
    sender: Connection,
    authorization: String,
}

impl Site {
    /// The programs are those built beside this one.
    pub fn new() -> Result<Self> {
        let this = std::env::current_exe()?;
        let programs = this.parent().context("no folder of programs")?.to_owned();
        let folder = tempfile::tempdir()?;
        let secret = uuid::Uuid::new_v4().to_string().into_bytes();
        std::fs::create_dir(folder.path().join("keys"))?;
        std::fs::write(folder.path().join("keys/bench.secret"), &secret)?;
        let config = format!("reactors = 1\n\n[auth]\nkeys = [{:?}]\n", folder.path().join("keys"));
        std::fs::write(folder.path().join("hub.toml"), config)?;
        Ok(Self { programs, folder, processors: Processors::split()?, secret })
    }

    /// The secret that signs all tokens.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Where callgrind writes what it counts in a server.
    pub fn counts(&self, kind: Kind) -> PathBuf {
        let name = if kind == Kind::Hub { "hub.callgrind" } else { "control.callgrind" };
        self.folder.path().join(name)
    }

    fn command(&self, kind: Kind, counted: bool) -> Result<Command> {
        let name = if kind == Kind::Hub { "notification-hub" } else { "bare-epoll" };
        let program = self.programs.join(name);
        if !program.exists() {
            bail!("no {}: build the hub and the tests' programs with the profile `bench`", program.display());
        }
        let mut command =
            if counted { callgrind::command(&program, &self.counts(kind)) } else { Command::new(program) };
        match kind {
            Kind::Hub => {
                command.args(["serve", "--config"]).arg(self.folder.path().join("hub.toml"));
                for listener in ["--listen", "--internal-listen", "--admin-listen"] {
                    command.args([listener, "127.0.0.1:0"]);
                }
            }
            Kind::Control { frame } => {
                command.args(["--frame", &frame.to_string()]);
            }
        }
        Ok(command)
    }

    /// Starts a server and waits until it listens; `counted` puts it under callgrind.
    pub fn start(&self, kind: Kind, counted: bool) -> Result<Server> {
        let command = self.command(kind, counted)?;
        let process = self.processors.start(|| Process::start(&command))?;
        let public = process.listening("public", START)?;
        let sender = Connection::open(process.listening("internal", START)?)?;
        let authorization = format!("Bearer {}", Signer::secret(&self.secret).sign(&token::internal())?);
        Ok(Server { process, public, sender, authorization })
    }
}

impl Server {
    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where clients connect.
    pub fn public(&self) -> SocketAddr {
        self.public
    }

    /// Posts a push and waits for its acceptance.
    pub fn push(&mut self, body: &str) -> Result<()> {
        let headers = [("Authorization", self.authorization.as_str()), ("Content-Type", "application/json")];
        let response = self.sender.request("POST", "/send", &headers, body.as_bytes())?;
        if response.status != 200 {
            bail!("the push was answered {}: {}", response.status, response.text());
        }
        Ok(())
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
    fn processor_time(&self) -> Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id())).context("the server has ended")? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).context("an odd schedstat")?;
        }
        Ok(sum)
    }
}
