//! The pipeline behind every source: reads a push, routes it, counts it and publishes it.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backplane::{Backplane, BufferFull, PublishMode};
use crate::delivery::route;
use crate::delivery::{Audience, Delivery};
use crate::notification::{self, MalformedPush, Notification};
use crate::observability::Metrics;

/// How long before a push for which the buffer had no room is retried.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Why a push was not taken; nothing was delivered.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// It can't be understood.
    #[error(transparent)]
    Malformed(#[from] MalformedPush),
    /// Other replicas can't be reached, and too much is kept for them already.
    #[error(transparent)]
    BufferFull(#[from] BufferFull),
}

/// Reads, routes and publishes pushes.
#[derive(Clone)]
pub struct PushPipeline {
    backplane: Backplane,
    metrics: Arc<Metrics>,
    /// The members, by type, that have been reported missing.
    reported: Arc<Mutex<HashSet<(u8, &'static str)>>>,
}

impl PushPipeline {
    /// Creates a pipeline in front of a backplane.
    pub fn new(backplane: Backplane, metrics: Arc<Metrics>) -> PushPipeline {
        PushPipeline { backplane, metrics, reported: Arc::default() }
    }

    /// Reads a push and delivers it; a blank text is nothing. When it returns, every connection of this replica that it is
    /// for has it written or waiting, and other replicas were handed it or, while they can't be reached, it is kept for them
    /// (`decisions.md` 2).
    ///
    /// # Errors
    /// What is wrong with the text, and where, or that too much is kept.
    pub async fn ingest(&self, text: &[u8]) -> Result<(), IngestError> {
        let since = Instant::now();
        let taken = match notification::read(text) {
            Ok(Some(notification)) => {
                let delivery = self.route_push(&notification, since);
                self.publish(notification.kind, delivery, PublishMode::AckOrBuffer).await.map_err(IngestError::from)
            }
            Ok(None) => Ok(()),
            Err(malformed) => Err(malformed.into()),
        };
        if taken.is_err() {
            self.metrics.pushed("rejected", None);
        }
        taken
    }

    /// Delivers a push that was received at `since`. When it returns, every connection of this replica that it is for has it
    /// written or waiting, and other replicas were handed it, however long that took.
    pub async fn deliver_reliably(&self, notification: &Notification, since: Instant) {
        let mut delivery = self.route_push(notification, since);
        while let Err(BufferFull(refused)) = self.publish(notification.kind, delivery, PublishMode::WaitForAck).await {
            delivery = *refused;
            self.wait_writable().await;
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    /// Waits until other replicas can be reached, if there are any.
    pub async fn wait_writable(&self) {
        self.backplane.wait_connected().await;
    }

    /// Routes a push and counts it.
    fn route_push(&self, notification: &Notification, since: Instant) -> Delivery {
        let kind = Some(notification.kind);
        self.metrics.pushed("received", kind);
        self.report_missing(notification);
        let delivery = route::route(notification, since);
        if delivery.audience != Audience::Nobody {
            self.metrics.pushed("routed", kind);
        }
        delivery
    }

    /// Logs each member that a type lacks once, as a newer sender may lack it in every push.
    fn report_missing(&self, notification: &Notification) {
        for &member in &notification.missing {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            if reported.insert((notification.kind, member)) {
                tracing::warn!(kind = notification.kind, member, "a push lacks a member; its default is delivered");
            }
        }
    }

    async fn publish(&self, kind: u8, delivery: Delivery, mode: PublishMode) -> Result<(), BufferFull> {
        let routed = delivery.audience != Audience::Nobody;
        let reached = self.backplane.publish(delivery, mode).await?;
        self.metrics.pushed(if reached > 0 { "delivered" } else { "no_recipient" }, Some(kind));
        tracing::debug!(kind, routed, reached, "a push was taken");
        Ok(())
    }
}
