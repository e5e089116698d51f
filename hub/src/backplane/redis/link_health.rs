//! The health of the link to Redis, which has two connections: one to subscribe and one to publish.
//! The `subscriber` and the `publisher` task set it. The push pipeline and the admin port read it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::observability::Metrics;

/// One of the two connections of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// The subscribing connection.
    Subscribe = 0,
    /// The publishing connection.
    Publish = 1,
}

/// The state of both connections.
pub(super) struct LinkHealth {
    up: watch::Sender<[bool; 2]>,
    /// The state that was logged last.
    last_logged: Mutex<Option<bool>>,
    metrics: Arc<Metrics>,
}

impl LinkHealth {
    /// Creates a link whose connections are down.
    pub(super) fn new(metrics: Arc<Metrics>) -> LinkHealth {
        LinkHealth { up: watch::channel([false; 2]).0, last_logged: Mutex::default(), metrics }
    }

    /// Marks a connection as up.
    pub(super) fn mark_up(&self, half: Half) {
        self.set(half, true, "");
    }

    /// Marks a connection as down, with a reason for the log.
    pub(super) fn mark_down(&self, half: Half, reason: &str) {
        self.set(half, false, reason);
    }

    fn set(&self, half: Half, up: bool, reason: &str) {
        let mut last_logged = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        self.up.send_if_modified(|halves| std::mem::replace(&mut halves[half as usize], up) != up);
        let both = *self.up.borrow() == [true; 2];
        self.metrics.backplane_up.set(both.into());
        // One connection that is up is not logged while the other is down. One that is down is logged.
        if (both || !up) && *last_logged != Some(both) {
            *last_logged = Some(both);
            match both {
                true => tracing::info!("redis available; replicas exchange pushes"),
                false => tracing::warn!(reason, "redis unavailable; pushes to other replicas wait"),
            }
        }
    }

    /// Waits until a connection is up.
    pub(super) async fn wait_up(&self, half: Half) {
        // It cannot fail, because `self` holds the sender.
        let _ = self.up.subscribe().wait_for(|halves| halves[half as usize]).await;
    }

    /// Waits until both connections are up.
    pub(super) async fn wait_all_up(&self) {
        let _ = self.up.subscribe().wait_for(|halves| *halves == [true; 2]).await;
    }

    /// Waits until a connection is down.
    pub(super) async fn wait_down(&self, half: Half) {
        let _ = self.up.subscribe().wait_for(|halves| !halves[half as usize]).await;
    }
}
