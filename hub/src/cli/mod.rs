//! The command line, with one module for each command.

pub(crate) mod check_config;
pub(crate) mod dev;
pub(crate) mod doctor;
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

/// A drop-in replacement for Bitwarden's notifications service.
#[derive(Debug, Parser)]
#[command(name = "notification-hub", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// The command. `None` means `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Options of `serve`.
    #[command(flatten)]
    pub serve: ConfigSources,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a hub.
    Serve(ConfigSources),
    /// Run a hub for development: generate keys, choose free ports, print URLs and tokens.
    Dev(dev::Dev),
    /// Send a push to a hub or its queue.
    Push(push::Push),
    /// Connect to a hub and print the messages that it sends.
    Listen(listen::Listen),
    /// Print a token like those of Bitwarden's identity service.
    Token(token::Token),
    /// Check the configuration and print every setting with its origin.
    CheckConfig(check_config::CheckConfig),
    /// Check the health of a running hub.
    Healthcheck(healthcheck::Healthcheck),
    /// Check everything that a hub needs, and name the cause of a failure.
    Doctor(doctor::Doctor),
}

/// The sources of the configuration. Flags override the environment, which overrides the file.
#[derive(Debug, Default, Args)]
pub(crate) struct ConfigSources {
    /// Read this TOML file [default: /etc/notification-hub/config.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set listen.public, the address for clients
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_public: Option<String>,
    /// Set listen.internal, the address for senders
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_internal: Option<String>,
    /// Set listen.admin, the address for probes and metrics
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_admin: Option<String>,
}

/// Invalid arguments or configuration, with one line for each problem. The exit status is 2.
#[derive(Debug)]
pub(crate) struct UsageError(Vec<String>);

impl UsageError {
    /// Creates an error with one problem.
    pub(crate) fn new(problem: impl Into<String>) -> UsageError {
        UsageError(vec![problem.into()])
    }

    /// Creates an error with several problems.
    pub(crate) fn from_problems<P: ToString>(problems: impl IntoIterator<Item = P>) -> UsageError {
        UsageError(problems.into_iter().map(|problem| problem.to_string()).collect())
    }

    /// Returns the problems.
    pub(crate) fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for UsageError {}

/// The configuration file without `--config`. It may be missing.
const DEFAULT_CONFIG_FILE: &str = "/etc/notification-hub/config.toml";

impl ConfigSources {
    /// Reads the file, the environment and the flags, and builds the configuration.
    pub(crate) fn load(&self) -> anyhow::Result<Config> {
        let path = self.config.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_CONFIG_FILE));
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.config.is_none() => None,
            Err(error) => return Err(UsageError::new(format!("{name}: {error}")).into()),
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let environment: Vec<(String, String)> =
            variables.map(|(name, value)| (name, value.to_string_lossy().into_owned())).collect();
        let flags: Vec<(&'static str, String)> = [
            ("listen.public", &self.listen_public),
            ("listen.internal", &self.listen_internal),
            ("listen.admin", &self.listen_admin),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect();
        let file = text.as_deref().map(|text| (name.as_str(), text));
        let layers = Layers { file, environment: &environment, flags: &flags };
        Config::parse(layers).map_err(|problems| UsageError::from_problems(problems.iter()).into())
    }
}

/// Creates the tokio runtime of a command. Connections do not use it: reactors are threads of their own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
