//! `check-config`: what results from file, environment and flags, and where each value came from.

use clap::Args;
use notification_hub::auth::key_watch::KeyWatch;

use super::{Serve, Usage};

/// Options of `check-config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    sources: Serve,
    /// Print one JSON object instead of a line a setting
    #[arg(long)]
    json: bool,
}

/// Prints the configuration, or everything that is wrong with it.
pub(crate) fn run(arguments: &CheckConfig) -> anyhow::Result<()> {
    let config = arguments.sources.load()?;
    if arguments.json {
        let settings = config.shown().iter().map(|shown| {
            (shown.key.to_owned(), serde_json::json!({ "value": shown.value, "origin": shown.origin.to_string() }))
        });
        println!("{}", serde_json::Value::Object(settings.collect()));
    } else {
        for shown in config.shown() {
            println!("{} = {}  # {}", shown.key, shown.value, shown.origin);
        }
    }
    for warning in config.warnings() {
        eprintln!("warning: {warning}");
    }
    if config.auth.authority.is_some() && config.auth.keys.is_empty() {
        return Ok(());
    }
    KeyWatch::open(config.auth.keys.clone())
        .map_err(|error| Usage(format!("wrong configuration\nauth.keys: {error}")))?;
    Ok(())
}
