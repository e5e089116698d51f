//! Signals: the first SIGTERM or SIGINT starts a graceful shutdown, the second ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit status after a second signal.
const ABORTED_EXIT_STATUS: i32 = 130;

/// Returns a receiver that turns true at the first signal. Must be called within a tokio runtime.
pub fn stop() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                tracing::warn!("second signal received; exiting at once");
                std::process::exit(ABORTED_EXIT_STATUS);
            }
            tracing::info!("shutting down after the running reconciles");
            sender.send_replace(true);
        }
    });
    Ok(stop)
}
