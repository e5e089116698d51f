//! How a hub ends (`decisions.md` 7): the first SIGTERM or SIGINT asks it to, the second ends it at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::backplane::Backplane;
use crate::observability::{Metrics, ShutdownPhase, flush_logs};
use crate::reactor::Reactors;

/// The exit status after a second signal: as a shell tells of SIGINT.
const EXIT_ABORTED: i32 = 130;

/// How often it is looked whether everybody has gone.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Begins to listen for signals; what it gives turns true at the first one.
///
/// # Errors
/// If the system does not let it listen.
pub fn install_signal_handlers() -> io::Result<watch::Receiver<bool>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (sender, stopping) = watch::channel(false);
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                tracing::warn!("a second signal: ending at once");
                flush_logs();
                std::process::exit(EXIT_ABORTED);
            }
            sender.send_replace(true);
        }
    });
    Ok(stopping)
}

/// Waits for the first signal.
pub async fn requested(mut stopping: watch::Receiver<bool>) {
    // The sender is gone only when the process is.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Lets go of all clients, spread over a duration, and ends the reactors once they are gone; what is left at the deadline is
/// reset.
pub async fn drain(reactors: &Reactors, duration: Duration, deadline: Instant, metrics: &Metrics) {
    metrics.set_shutdown_phase(Some(ShutdownPhase::Clients));
    reactors.drain(duration);
    while !reactors.drained() && Instant::now() < deadline {
        metrics.drain_left.set(reactors.open_connections() as i64);
        sleep(POLL_INTERVAL).await;
    }
    match reactors.open_sockets() {
        0 => tracing::info!("all clients have gone"),
        left => tracing::warn!(left, "the deadline has passed: sockets that are still open are reset"),
    }
    reactors.stop();
    metrics.drain_left.set(0);
}

/// Waits until the source has ended and other replicas have got everything, or the deadline has passed.
pub async fn flush_backplane(source: &JoinHandle<()>, backplane: &Backplane, deadline: Instant, metrics: &Metrics) {
    metrics.set_shutdown_phase(Some(ShutdownPhase::Backplane));
    while (!source.is_finished() || backplane.pending_publishes() > 0) && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
    }
    if !source.is_finished() {
        tracing::warn!("the deadline has passed: ending with messages in hand, which come again");
    }
    if backplane.pending_publishes() > 0 {
        tracing::warn!(waiting = backplane.pending_publishes(), "ending with pushes that other replicas have not got");
    }
}
