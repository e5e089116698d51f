//! Signals, and the order in which a hub shuts down (`decisions.md` 7). The first SIGTERM or SIGINT starts the shutdown. The second ends
//! the process immediately.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::backplane::Backplane;
use crate::config::Drain as DrainConfig;
use crate::observability::{Metrics, ShutdownPhase, flush_logs};
use crate::reactor::Reactors;

/// The exit status after a second signal, as in a shell after SIGINT.
const EXIT_ABORTED: i32 = 130;

/// How long a task of the hub may take to end.
const TASK_TIMEOUT: Duration = Duration::from_secs(5);

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

/// The parts of a running hub that a shutdown ends.
pub(super) struct RunningHub {
    /// Whether `/readyz` says that clients may connect.
    pub(super) ready: Arc<AtomicBool>,
    pub(super) drain: DrainConfig,
    pub(super) metrics: Arc<Metrics>,
    pub(super) reactors: Arc<Reactors>,
    pub(super) backplane: Backplane,
    /// Ends the source; `true` stops it.
    pub(super) stop_source: watch::Sender<bool>,
    pub(super) source_task: JoinHandle<()>,
    /// Holds the turn at the queue until `true`. The task is `None` if the hub takes no turns.
    pub(super) release_turn: watch::Sender<bool>,
    pub(super) turn_task: Option<JoinHandle<()>>,
    /// Serves clients without a WebSocket. Ends with the last response.
    pub(super) http_task: JoinHandle<()>,
    /// Ends the admin port; `true` stops it.
    pub(super) stop_admin: watch::Sender<bool>,
    pub(super) admin_task: JoinHandle<()>,
}

impl RunningHub {
    /// Shuts the hub down, in this order: not ready, delay, source, clients, turn at the queue, last HTTP responses,
    /// backplane, admin port.
    pub(super) async fn shut_down(mut self) {
        tracing::info!(delay = ?self.drain.delay, "shutting down");
        self.ready.store(false, Ordering::Relaxed);
        self.metrics.set_shutdown_phase(Some(ShutdownPhase::Delay));
        sleep(self.drain.delay).await;
        let deadline = Instant::now() + self.drain.timeout;
        self.stop_source(deadline).await;
        self.drain_clients(deadline).await;
        // The turn is released after the drain, so that the next hub to receive from the queue has all clients.
        self.release_turn.send_replace(true);
        if let Some(turn_task) = self.turn_task.take() {
            let _ = timeout(TASK_TIMEOUT, turn_task).await;
        }
        // The last responses to clients without a WebSocket.
        let _ = timeout(TASK_TIMEOUT, &mut self.http_task).await;
        self.flush_backplane(deadline).await;
        self.stop_admin.send_replace(true);
        // The admin port serves until the end. A timeout here does not matter.
        let _ = timeout(TASK_TIMEOUT, &mut self.admin_task).await;
    }

    /// Ends the source, and waits a moment for the pushes that it has received.
    async fn stop_source(&mut self, deadline: Instant) {
        self.metrics.set_shutdown_phase(Some(ShutdownPhase::Sources));
        self.stop_source.send_replace(true);
        let until = deadline.min(Instant::now() + TASK_TIMEOUT);
        if timeout_at(until, &mut self.source_task).await.is_err() {
            tracing::warn!("source still handles pushes, disconnecting clients");
        }
    }

    /// Closes all clients, spread over a duration, and then stops the reactors. Sockets that are open at the deadline are reset.
    async fn drain_clients(&self, deadline: Instant) {
        self.metrics.set_shutdown_phase(Some(ShutdownPhase::Clients));
        self.reactors.drain(self.drain.duration);
        while !self.reactors.drained() && Instant::now() < deadline {
            self.metrics.drain_connections_remaining.set(self.reactors.open_connections() as i64);
            sleep(POLL_INTERVAL).await;
        }
        match self.reactors.open_sockets() {
            0 => tracing::info!("all clients disconnected"),
            left => tracing::warn!(left, "drain deadline passed, resetting open sockets"),
        }
        self.reactors.stop();
        self.metrics.drain_connections_remaining.set(0);
    }

    /// Waits until the source has ended and Redis has acknowledged every push, or until the deadline.
    async fn flush_backplane(&self, deadline: Instant) {
        self.metrics.set_shutdown_phase(Some(ShutdownPhase::Backplane));
        let (source, backplane) = (&self.source_task, &self.backplane);
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
}
