//! `token`: prints a token like those of Bitwarden's identity service.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use notification_hub::auth::token_issuer::{IssueError, TokenIssuer, TokenSpec};
use notification_hub::config::Setting;
use uuid::Uuid;

use super::{UsageError, output};

/// Options of `token`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("subject").required(true).args(["user", "scope"]))]
pub(crate) struct Token {
    /// Private key (*.pem) or secret (*.secret), which determines the algorithm
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Issue a token of this user, to connect
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// Issue a token with this scope, to push
    #[arg(long)]
    scope: Option<Scope>,
    /// Organization of the user; may be repeated
    #[arg(long, value_name = "UUID", requires = "user")]
    organization: Vec<Uuid>,
    /// Type of the user's device, such as ChromeBrowser
    #[arg(long, value_name = "NAME", requires = "user")]
    device_type: Option<String>,
    /// Id of the user's device
    #[arg(long, value_name = "ID", requires = "user")]
    device: Option<String>,
    /// Issuer of the token
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Lifetime of the token
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    expires_in: Duration,
    /// Id of the key
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
}

/// The scope of a token without a user.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// `POST /send`.
    Internal,
}

/// Prints a token.
pub(crate) fn run(arguments: &Token) -> anyhow::Result<()> {
    let issuer = TokenIssuer::from_file(&arguments.key).map_err(|error| match error {
        IssueError::Signing(_) => anyhow::Error::new(error),
        unusable => UsageError::new(format!("--key: {unusable}")).into(),
    })?;
    let spec = TokenSpec {
        user: arguments.user,
        organizations: arguments.organization.clone(),
        device_type: arguments.device_type.clone(),
        device: arguments.device.clone(),
        issuer: arguments.issuer.clone(),
        expires_in: arguments.expires_in,
        key_id: arguments.kid.clone(),
    };
    output::print_line(issuer.issue(&spec)?)
}

/// Parses a duration such as `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_toml(&toml::Value::String(text.to_owned())).map_err(|needs| format!("use {needs}"))
}
