//! `doctor`: checks everything that a hub needs, and names the cause of a failure.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};
use notification_hub::auth::bearer::BearerToken;
use notification_hub::doctor::public_url::PublicUrl;
use notification_hub::doctor::report::{Finding, Report};
use notification_hub::doctor::{local, public};

use super::{ConfigSources, UsageError, output, runtime};

/// The format of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// One line for each check.
    Text,
    /// One JSON object.
    Json,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if no check fails, 1 if one fails.")]
pub(crate) struct Doctor {
    /// URL of the vault, to check the way that clients take to the hub instead of this machine
    #[arg(long, value_name = "URL", value_parser = public_url, conflicts_with_all = ["config", "listen_public", "listen_internal", "listen_admin"])]
    url: Option<PublicUrl>,
    /// Also wait for idle timeouts, for up to five minutes
    #[arg(long, requires = "url")]
    idle: bool,
    /// File with the token of a user, to check whether the hub accepts it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Format of the report
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = ReportFormat::Text)]
    output: ReportFormat,
    #[command(flatten)]
    sources: ConfigSources,
}

/// A check failed, which is printed already. The exit status is 1.
#[derive(Debug, thiserror::Error)]
#[error("a check failed")]
pub(crate) struct ChecksFailed;

/// Prints the findings. Fails if a check does.
pub(crate) fn run(arguments: &Doctor) -> anyhow::Result<()> {
    let token = arguments.token_file.as_deref().map(read_token).transpose()?;
    let mut printed = Ok(());
    let is_text = arguments.output == ReportFormat::Text;
    let mut print = |finding: &Finding| {
        if is_text && printed.is_ok() {
            printed = output::print_line(finding);
        }
    };
    let mut report = Report::new(&mut print);
    let (runtime, token) = (runtime()?, token.as_ref());
    match &arguments.url {
        Some(url) => runtime.block_on(public::check(url, token, arguments.idle, &mut report)),
        None => {
            let config = arguments.sources.load().map_err(problems);
            runtime.block_on(local::check(config, token, &mut report));
        }
    }
    let (is_ok, json) = (report.is_ok(), report.to_json());
    printed?;
    if !is_text {
        output::print_line(json)?;
    }
    if is_ok { Ok(()) } else { Err(ChecksFailed.into()) }
}

/// Parses the URL that clients use.
fn public_url(text: &str) -> Result<PublicUrl, String> {
    PublicUrl::parse(text).ok_or_else(|| "use http://HOST or https://HOST; a path is optional".to_owned())
}

/// Returns the problems of a configuration.
fn problems(error: anyhow::Error) -> Vec<String> {
    match error.downcast_ref::<UsageError>() {
        Some(usage) => usage.problems().to_vec(),
        None => vec![error.to_string()],
    }
}

/// Reads the token of a file.
fn read_token(path: &Path) -> anyhow::Result<BearerToken> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--token-file: {}", path.display()))?;
    Ok(BearerToken::from(text.trim()))
}
