//! `check-config`: what results from file, environment and flags, and where each value came from.

use clap::Args;
use notification_hub::config::Config;
use notification_hub::server::preflight::Preflight;

use super::{Serve, Usage, output};

/// Options of `check-config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    sources: Serve,
    /// Print one JSON object instead of a line a setting
    #[arg(long)]
    json: bool,
}

/// Prints the configuration, or everything that is wrong with it. Refuses what `serve` would refuse before it binds a port.
pub(crate) fn run(arguments: &CheckConfig) -> anyhow::Result<()> {
    let config = arguments.sources.load()?;
    let loaded = Preflight::run(&config);
    let printed = print_settings(&config, arguments.json);
    let warnings = loaded.as_ref().map(Preflight::warnings).unwrap_or_default();
    for warning in config.warnings().iter().chain(&warnings) {
        output::print_notice(format_args!("warning: {warning}"));
    }
    loaded.map_err(Usage::from_problems)?;
    printed
}

fn print_settings(config: &Config, json: bool) -> anyhow::Result<()> {
    if json {
        let settings = config.effective_settings().iter().map(|setting| {
            (
                setting.key.to_owned(),
                serde_json::json!({ "value": setting.value, "origin": setting.origin.to_string() }),
            )
        });
        return output::print_line(serde_json::Value::Object(settings.collect()));
    }
    for setting in config.effective_settings() {
        output::print_line(format_args!("{} = {}  # {}", setting.key, setting.value, setting.origin))?;
    }
    Ok(())
}
