//! `serve`: a hub, until it is told to end.

use notification_hub::app::{AppError, Hub};
use notification_hub::config::Config;
use notification_hub::reload::Looks;
use notification_hub::shutdown;
use notification_hub::telemetry::{LogLevel, LogTo, start_logs};

use super::{Serve, Usage, runtime};

/// Runs a hub.
pub(crate) fn run(arguments: &Serve) -> anyhow::Result<()> {
    let config = arguments.load()?;
    let level = start_logs(&config.log, LogTo::Output);
    runtime()?.block_on(serve(config, level, |hub| {
        println!("{}", serde_json::json!({ "listening": hub.addresses()? }));
        Ok(())
    }))
}

/// Serves a configuration; `listening` is told of the hub once it listens.
pub(crate) async fn serve(
    config: Config,
    level: LogLevel,
    listening: impl FnOnce(&Hub) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    // Before anything else: a signal that comes early must not be lost.
    let stopping = shutdown::signals()?;
    tokio::spawn(level.run(Looks::begin()?));
    let hub = Hub::bind(config).map_err(explain)?;
    listening(&hub)?;
    hub.serve(stopping).await.map_err(explain)
}

fn explain(error: AppError) -> anyhow::Error {
    if error.is_configuration() { Usage(format!("wrong configuration\n{error}")).into() } else { error.into() }
}
