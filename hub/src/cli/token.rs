//! `token`: prints a token as Bitwarden's identity service makes them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use notification_hub::auth::token_issuer::{IssueError, TokenIssuer, TokenSpec};
use notification_hub::config::Setting;
use uuid::Uuid;

use super::{Usage, output};

/// Options of `token`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("who").required(true).args(["user", "scope"]))]
pub(crate) struct Token {
    /// Private key (*.pem) or secret (*.secret); it decides the algorithm
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A token of this user, for connecting
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// A token for pushing
    #[arg(long)]
    scope: Option<Scope>,
    /// An organisation of which the user is a member; may be repeated
    #[arg(long, value_name = "UUID", requires = "user")]
    organization: Vec<Uuid>,
    /// The type of the user's device, such as ChromeBrowser
    #[arg(long, value_name = "NAME", requires = "user")]
    device_type: Option<String>,
    /// The id of the user's device
    #[arg(long, value_name = "ID", requires = "user")]
    device: Option<String>,
    /// The issuer
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// How long it is good for
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    expires_in: Duration,
    /// The id of the key
    #[arg(long, value_name = "ID")]
    kid: Option<String>,
}

/// What a token without a user is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// `POST /send`.
    Internal,
}

/// Prints a token.
pub(crate) fn run(arguments: &Token) -> anyhow::Result<()> {
    let issuer = TokenIssuer::from_file(&arguments.key).map_err(|error| match error {
        IssueError::Signing(_) => anyhow::Error::new(error),
        unusable => Usage::new(format!("--key: {unusable}")).into(),
    })?;
    let request = TokenSpec {
        user: arguments.user,
        organizations: arguments.organization.clone(),
        device_type: arguments.device_type.clone(),
        device: arguments.device.clone(),
        issuer: arguments.issuer.clone(),
        expires_in: arguments.expires_in,
        key_id: arguments.kid.clone(),
    };
    output::print_line(issuer.issue(&request)?)
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_toml(&toml::Value::String(text.to_owned())).map_err(|needs| format!("use {needs}"))
}
