//! Whether Redis is there, for whoever has to know: two connections make one link.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::telemetry::Metrics;

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// That which hears what others publish.
    Hearing = 0,
    /// That which publishes.
    Publishing = 1,
}

/// The state of both.
pub(super) struct Link {
    up: watch::Sender<[bool; 2]>,
    /// Whether the log said last that Redis is there.
    told: Mutex<Option<bool>>,
    metrics: Arc<Metrics>,
}

impl Link {
    /// A link that is not there yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Link {
        Link { up: watch::channel([false; 2]).0, told: Mutex::default(), metrics }
    }

    /// One side works.
    pub(super) fn works(&self, side: Side) {
        self.turn(side, true, "");
    }

    /// One side does not work, and why.
    pub(super) fn fails(&self, side: Side, why: &str) {
        self.turn(side, false, why);
    }

    fn turn(&self, side: Side, up: bool, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.up.send_if_modified(|sides| std::mem::replace(&mut sides[side as usize], up) != up);
        let both = *self.up.borrow() == [true; 2];
        self.metrics.backplane_up.set(both.into());
        // A side that has come while the other has not is no news; that one has failed, is.
        if (both || !up) && *told != Some(both) {
            *told = Some(both);
            match both {
                true => tracing::info!("Redis is there: replicas hear each other"),
                false => tracing::warn!(reason = why, "Redis is away: this replica serves its own clients"),
            }
        }
    }

    /// Waits until one side works.
    pub(super) async fn working(&self, side: Side) {
        // The sender is this.
        let _ = self.up.subscribe().wait_for(|sides| sides[side as usize]).await;
    }

    /// Waits until both work.
    pub(super) async fn whole(&self) {
        let _ = self.up.subscribe().wait_for(|sides| *sides == [true; 2]).await;
    }

    /// Waits until one side does not work.
    pub(super) async fn broken(&self, side: Side) {
        let _ = self.up.subscribe().wait_for(|sides| !sides[side as usize]).await;
    }
}
