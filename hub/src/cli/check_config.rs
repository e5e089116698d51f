//! `check-config`: checks the configuration and prints every setting with its origin.

use clap::Args;
use notification_hub::config::Config;
use notification_hub::server::preflight::Preflight;

use super::{ConfigSources, UsageError, output};

/// Options of `check-config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    sources: ConfigSources,
    /// Print one JSON object instead of a line for each setting
    #[arg(long)]
    json: bool,
}

/// Prints the settings and all problems. Rejects every configuration that `serve` rejects before it binds a port.
pub(crate) fn run(arguments: &CheckConfig) -> anyhow::Result<()> {
    let config = arguments.sources.load()?;
    let loaded = Preflight::run(&config);
    let printed = print_settings(&config, arguments.json);
    let warnings = loaded.as_ref().map(Preflight::warnings).unwrap_or_default();
    for warning in config.warnings().iter().chain(&warnings) {
        output::print_notice(format_args!("warning: {warning}"));
    }
    loaded.map_err(UsageError::from_problems)?;
    printed
}

/// Prints one line for each setting, or one JSON object.
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
