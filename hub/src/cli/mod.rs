//! What people type: the command line, and one module a command.

pub(crate) mod check_config;
pub(crate) mod dev;
pub(crate) mod healthcheck;
pub(crate) mod listen;
pub(crate) mod output;
pub(crate) mod push;
pub(crate) mod serve;
pub(crate) mod token;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use notification_hub::config::{Config, Layers};

/// A drop-in for Bitwarden's notifications service.
#[derive(Debug, Parser)]
#[command(name = "notification-hub", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// What to do; nothing means serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of serve.
    #[command(flatten)]
    pub serve: Serve,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a hub.
    Serve(Serve),
    /// Run a hub that needs nothing else: own keys, free ports, everything to connect with printed.
    Dev(dev::Dev),
    /// Send a push to a hub.
    Push(push::Push),
    /// Connect to a hub and print what it sends.
    Listen(listen::Listen),
    /// Print a token as Bitwarden's identity service makes them.
    Token(token::Token),
    /// Print the configuration in force, with the origin of every value.
    CheckConfig(check_config::CheckConfig),
    /// Check the health of a running hub.
    Healthcheck(healthcheck::Healthcheck),
}

/// Where the configuration comes from. Flags win over environment over file.
#[derive(Debug, Default, Args)]
pub(crate) struct Serve {
    /// TOML file [default: /etc/notification-hub/config.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address for clients
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address for senders
    #[arg(long, value_name = "HOST:PORT")]
    pub internal_listen: Option<String>,
    /// Address for probes and metrics
    #[arg(long, value_name = "HOST:PORT")]
    pub admin_listen: Option<String>,
}

/// Wrong usage or configuration: exit status 2. Holds every problem, a line each.
#[derive(Debug)]
pub(crate) struct Usage(Vec<String>);

impl Usage {
    /// One problem.
    pub(crate) fn new(problem: impl Into<String>) -> Usage {
        Usage(vec![problem.into()])
    }

    /// Several problems.
    pub(crate) fn from_problems<P: ToString>(problems: impl IntoIterator<Item = P>) -> Usage {
        Usage(problems.into_iter().map(|problem| problem.to_string()).collect())
    }

    /// The problems.
    pub(crate) fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Usage {}

/// Where the configuration is looked for if nobody says.
const CONFIG: &str = "/etc/notification-hub/config.toml";

impl Serve {
    /// Reads the configuration from all its layers.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let path = self.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.config.is_none() => None,
            Err(error) => return Err(Usage::new(format!("{name}: {error}")).into()),
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let environment: Vec<(String, String)> =
            variables.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect();
        let flags: Vec<(&'static str, String)> = [
            ("listen.public", &self.listen),
            ("listen.internal", &self.internal_listen),
            ("listen.admin", &self.admin_listen),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect();
        let file = text.as_deref().map(|text| (name.as_str(), text));
        let layers = Layers { file, environment: &environment, flags: &flags };
        Config::parse(layers).map_err(|problems| Usage::from_problems(problems.iter()).into())
    }
}

/// A runtime for everything but the connections, which have threads of their own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
