//! Signals and the phases of a shutdown (`decisions.md` 7). The first SIGTERM or SIGINT starts the shutdown. The second ends
//! the process immediately.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::backplane::Backplane;
use crate::observability::{Metrics, ShutdownPhase, flush_logs};
use crate::reactor::Reactors;

/// The exit status after a second signal, as in a shell after SIGINT.
const EXIT_ABORTED: i32 = 130;

/// The interval at which the progress of a drain is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Installs handlers for SIGTERM and SIGINT. The returned value becomes `true` at the first signal.
///
/// # Errors
/// If a handler cannot be installed.
pub fn install_signal_handlers() -> io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stopping) = watch::channel(false);
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_second {
                tracing::warn!("second signal received, exiting immediately");
                flush_logs();
                std::process::exit(EXIT_ABORTED);
            }
            sender.send_replace(true);
        }
    });
    Ok(stopping)
}

/// Waits until the value is `true`.
pub async fn requested(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender was dropped, which happens only when the process ends.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Closes all clients, spread over `duration`, and then stops the reactors. Sockets that are open at the deadline are reset.
pub async fn drain(reactors: &Reactors, duration: Duration, deadline: Instant, metrics: &Metrics) {
    metrics.set_shutdown_phase(Some(ShutdownPhase::Clients));
    reactors.drain(duration);
    while !reactors.drained() && Instant::now() < deadline {
        metrics.drain_connections_remaining.set(reactors.open_connections() as i64);
        sleep(POLL_INTERVAL).await;
    }
    match reactors.open_sockets() {
        0 => tracing::info!("all clients disconnected"),
        left => tracing::warn!(left, "drain deadline passed, resetting open sockets"),
    }
    reactors.stop();
    metrics.drain_connections_remaining.set(0);
}

/// Waits until the source has ended and the publish buffer is empty, or until the deadline.
pub async fn flush_backplane(source: &JoinHandle<()>, backplane: &Backplane, deadline: Instant, metrics: &Metrics) {
    metrics.set_shutdown_phase(Some(ShutdownPhase::Backplane));
    while (!source.is_finished() || backplane.pending_publishes() > 0) && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
    }
    if !source.is_finished() {
        tracing::warn!("drain deadline passed, exiting while the source handles pushes");
    }
    if backplane.pending_publishes() > 0 {
        tracing::warn!(pending = backplane.pending_publishes(), "exiting with unpublished pushes");
    }
}
