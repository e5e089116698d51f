//! `serve`: a hub, until it is told to end.

use notification_hub::config::Config;
use notification_hub::net::file_watch::ReloadTrigger;
use notification_hub::observability::{LogLevel, LogTarget, start_logs};
use notification_hub::server::Server;
use notification_hub::server::preflight::Preflight;
use notification_hub::server::shutdown;

use super::{Serve, Usage, output, runtime};

/// Runs a hub.
pub(crate) fn run(arguments: &Serve) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let level = start_logs(&config.log, LogTarget::Stdout)?;
    runtime()?.block_on(serve(
        config,
        level,
        |hub| Ok(serde_json::json!({ "listening": hub.addresses()? }).to_string()),
    ))
}

/// Serves a configuration; what `announce` says of the hub once it listens is printed.
pub(crate) async fn serve(
    config: Config,
    level: LogLevel,
    announce: impl FnOnce(&Server) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let loaded = Preflight::run(&config);
    let warnings = loaded.as_ref().map(Preflight::warnings).unwrap_or_default();
    for warning in config.warnings().iter().chain(&warnings) {
        tracing::warn!("{warning}");
    }
    let loaded = loaded.map_err(Usage::from_problems)?;
    // Before anything else: a signal that comes early must not be lost.
    let stopping = shutdown::install_signal_handlers()?;
    tokio::spawn(level.run(ReloadTrigger::on_sighup()?));
    let hub = Server::bind(config, loaded)?;
    // A hub serves on if nobody reads what it prints.
    let _ = output::print_line(announce(&hub)?);
    Ok(hub.serve(stopping).await?)
}
