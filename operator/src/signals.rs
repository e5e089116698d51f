//! The first SIGTERM or SIGINT asks the process to end; the second ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Exit status after a second signal.
const ABORTED_EXIT_STATUS: i32 = 130;

/// Turns true at the first signal.
pub fn stop() -> std::io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(ABORTED_EXIT_STATUS);
            }
            tracing::info!("asked to end: finishing what has begun");
            sender.send_replace(true);
        }
    });
    Ok(stop)
}
