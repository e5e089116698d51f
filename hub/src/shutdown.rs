//! How a hub ends (`decisions.md` 7): the first SIGTERM or SIGINT asks it to, the second ends it at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::config::Drain;
use crate::reactor::Reactors;

/// The exit status after a second signal: as a shell tells of SIGINT.
const ABORTED: i32 = 130;

/// How often it is looked whether everybody has gone.
const LOOK: Duration = Duration::from_millis(20);

/// Begins to listen for signals; what it gives turns true at the first one.
///
/// # Errors
/// If the system does not let it listen.
pub fn signals() -> io::Result<watch::Receiver<bool>> {
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
                std::process::exit(ABORTED);
            }
            sender.send_replace(true);
        }
    });
    Ok(stopping)
}

/// Waits for the first signal.
pub async fn asked(mut stopping: watch::Receiver<bool>) {
    // The sender is gone only when the process is.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Lets go of all clients, and ends the reactors once they are gone or the deadline has passed.
pub async fn drain(reactors: &Reactors, drain: Drain) {
    let deadline = Instant::now() + drain.deadline;
    reactors.drain(drain.duration);
    while !reactors.drained() && Instant::now() < deadline {
        sleep(LOOK).await;
    }
    match reactors.sockets() {
        0 => tracing::info!("all clients have gone"),
        left => tracing::warn!(left, "the deadline has passed: ending with sockets open"),
    }
    reactors.stop();
}
