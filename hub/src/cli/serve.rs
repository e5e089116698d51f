//! `serve`: runs a hub until SIGTERM or SIGINT.

use notification_hub::config::Config;
use notification_hub::net::file_watch::ReloadTrigger;
use notification_hub::observability::{LogLevel, LogTarget, start_logs};
use notification_hub::server::Server;
use notification_hub::server::preflight::Preflight;
use notification_hub::server::shutdown;

use super::{ConfigSources, UsageError, output, runtime};

/// Runs a hub.
pub(crate) fn run(arguments: &ConfigSources) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let level = start_logs(&config.log, LogTarget::Stdout)?;
    runtime()?.block_on(serve(
        config,
        level,
        |hub| Ok(serde_json::json!({ "listening": hub.addresses()? }).to_string()),
    ))
}

/// Runs a hub with this configuration. Prints the text that `announce` returns once the ports are bound.
pub(crate) async fn serve(
    config: Config,
    level: LogLevel,
    announce: impl FnOnce(&Server) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let loaded = Preflight::run(&config);
    let warnings = loaded.as_ref().map(Preflight::warnings).unwrap_or_default();
    for warning in config.warnings().iter().chain(&warnings) {
        tracing::warn!(%warning, "configuration warning");
    }
    let loaded = loaded.map_err(UsageError::from_problems)?;
    // Before the ports are bound, so that an early signal is not lost.
    let stopping = shutdown::install_signal_handlers()?;
    tokio::spawn(level.run(ReloadTrigger::on_sighup()?));
    let hub = Server::bind(config, loaded)?;
    // A closed standard output does not stop the hub.
    let _ = output::print_line(announce(&hub)?);
    Ok(hub.serve(stopping).await?)
}
