//! The pipeline that both sources use: reads a push, finds its audience, counts it and publishes it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backplane::{Backplane, BufferFull, PublishMode};
use crate::delivery::route;
use crate::delivery::{Audience, Delivery};
use crate::notification::{self, MalformedPush, Notification};
use crate::observability::Metrics;

/// How long to wait before a push is published again after the publish buffer was full.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The reason why a push was rejected. No client received it.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The text is not a push.
    #[error(transparent)]
    Malformed(#[from] MalformedPush),
    /// Redis is away, and the publish buffer is full.
    #[error(transparent)]
    BufferFull(#[from] BufferFull),
}

/// Reads, routes and publishes pushes. Clones share their state.
#[derive(Clone)]
pub struct PushPipeline {
    backplane: Backplane,
    metrics: Arc<Metrics>,
    /// The missing members that have been logged, each with its push type.
    logged_missing: Arc<Mutex<HashSet<(u8, &'static str)>>>,
}

impl PushPipeline {
    /// Creates a pipeline that publishes to `backplane`.
    pub fn new(backplane: Backplane, metrics: Arc<Metrics>) -> PushPipeline {
        PushPipeline { backplane, metrics, logged_missing: Arc::default() }
    }

    /// Reads a push and delivers it. Ignores a blank text. When this returns, the push is written or queued for every addressed
    /// connection of this replica. With Redis, it is also acknowledged, or waits in the publish buffer while Redis is away
    /// (`decisions.md` 2).
    ///
    /// # Errors
    /// [`IngestError::Malformed`] if the text is not a push, [`IngestError::BufferFull`] if there is no room in the buffer.
    pub async fn ingest(&self, text: &[u8]) -> Result<(), IngestError> {
        let since = Instant::now();
        let result = match notification::read(text) {
            Ok(Some(notification)) => {
                let delivery = self.route_push(&notification, since);
                self.publish(notification.kind, delivery, PublishMode::AckOrBuffer).await.map_err(IngestError::from)
            }
            Ok(None) => Ok(()),
            Err(malformed) => Err(malformed.into()),
        };
        if result.is_err() {
            self.metrics.pushed("rejected", None);
        }
        result
    }

    /// Delivers a push that was received at `since`. When this returns, the push is written or queued for every addressed
    /// connection of this replica. With Redis, it is also acknowledged: this waits as long as that takes.
    pub async fn deliver_reliably(&self, notification: &Notification, since: Instant) {
        let mut delivery = self.route_push(notification, since);
        while let Err(BufferFull(rejected)) = self.publish(notification.kind, delivery, PublishMode::WaitForAck).await {
            delivery = *rejected;
            self.wait_writable().await;
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Waits until the backplane is connected. Returns at once without a backplane.
    pub async fn wait_writable(&self) {
        self.backplane.wait_connected().await;
    }

    /// Finds the audience of a push, encodes it, and counts it.
    fn route_push(&self, notification: &Notification, since: Instant) -> Delivery {
        let kind = Some(notification.kind);
        self.metrics.pushed("received", kind);
        self.log_missing_members(notification);
        let delivery = route::route(notification, since);
        if delivery.audience != Audience::None {
            self.metrics.pushed("routed", kind);
        }
        delivery
    }

    /// Logs each missing member once for each type, because a newer sender may leave it out of every push.
    fn log_missing_members(&self, notification: &Notification) {
        for &member in &notification.missing {
            let mut logged = self.logged_missing.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.insert((notification.kind, member)) {
                tracing::warn!(kind = notification.kind, member, "push lacks a member; its default is delivered");
            }
        }
    }

    /// Publishes a delivery and counts whether it reached a connection of this replica.
    async fn publish(&self, kind: u8, delivery: Delivery, mode: PublishMode) -> Result<(), BufferFull> {
        let routed = delivery.audience != Audience::None;
        let reached = self.backplane.publish(delivery, mode).await?;
        self.metrics.pushed(if reached > 0 { "delivered" } else { "no_recipient" }, Some(kind));
        tracing::debug!(kind, routed, reached, "push published");
        Ok(())
    }
}
