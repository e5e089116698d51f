//! From a push's text to its delivery: what every source does with what it gets, and what is counted on the way.

use std::sync::Arc;
use std::time::Instant;

use crate::backplane::Local;
use crate::notification::{self, Malformed, Notification};
use crate::route;
use crate::telemetry::Metrics;

/// Takes pushes in.
#[derive(Clone)]
pub struct Intake {
    backplane: Local,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// An intake in front of a backplane.
    pub fn new(backplane: Local, metrics: Arc<Metrics>) -> Intake {
        Intake { backplane, metrics }
    }

    /// Reads a push and delivers it; a blank text is nothing. When it returns, every connection that it is for has it
    /// written or waiting (`decisions.md` 2).
    ///
    /// # Errors
    /// What is wrong with the text, and where; then nothing was delivered.
    pub async fn take(&self, text: &[u8]) -> Result<(), Malformed> {
        let since = Instant::now();
        match notification::read(text) {
            Ok(Some(notification)) => self.hand_over(&notification, since).await,
            Ok(None) => {}
            Err(malformed) => {
                self.metrics.pushed("rejected", None);
                return Err(malformed);
            }
        }
        Ok(())
    }

    /// Delivers a push that was received at `since`. When it returns, every connection that it is for has it written or
    /// waiting.
    pub async fn hand_over(&self, notification: &Notification, since: Instant) {
        let kind = Some(notification.kind);
        self.metrics.pushed("received", kind);
        let delivery = route::route(notification, since);
        let routed = delivery.audience != crate::delivery::Audience::Nobody;
        if routed {
            self.metrics.pushed("routed", kind);
        }
        let reached = self.backplane.publish(delivery).await;
        self.metrics.pushed(if reached > 0 { "delivered" } else { "no_recipient" }, kind);
        tracing::debug!(kind = notification.kind, routed, reached, "a push was taken");
    }
}
