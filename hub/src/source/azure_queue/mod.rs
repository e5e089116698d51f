//! The Azure Storage queue as a source (`bitwarden.md` 2.6, `decisions.md` 6): several hubs may compete for one queue.
//!
//! ```text
//! poll -> worker of the user or organisation -> hand over -> delete
//!      -> poison queue ----------------------------------> delete
//! ```
//!
//! A message stays in the queue, hidden from others, until it has been handed over; `hand` keeps it hidden for so long.

mod consumer;
mod content;
mod faults;
mod gauges;
mod hand;
mod pace;
mod poison;
mod undeleted;
mod workers;

use std::future::Future;
use std::sync::Arc;

use tokio::task::JoinSet;

use self::consumer::Consumer;
use self::hand::Hand;
use self::poison::Poison;
use self::workers::Workers;
use super::Intake;
use crate::azure::{Queue, QueueError};
use crate::config;
use crate::telemetry::Metrics;

/// A queue that is not received from yet.
pub struct AzureQueue {
    queue: Arc<Queue>,
    poison: Poison,
    workers: usize,
}

impl AzureQueue {
    /// The source of these settings. Nothing is asked of the service yet: a hub starts while it is away.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn open(settings: &config::AzureQueue) -> Result<AzureQueue, QueueError> {
        let queue = Arc::new(Queue::open(&settings.account, &settings.queue)?);
        let poison = Poison::new(Queue::open(&settings.account, &settings.poison_queue)?);
        Ok(AzureQueue { queue, poison, workers: settings.workers })
    }

    /// Receives until `end`, then finishes what is in hand.
    pub async fn run(self, intake: Intake, metrics: Arc<Metrics>, end: impl Future<Output = ()>) {
        tracing::info!(queue = self.queue.name().as_str(), "receiving pushes from a queue");
        let hand = Arc::new(Hand::new(self.queue.clone()));
        let consumer = Arc::new(Consumer::new(self.queue.clone(), hand.clone(), self.poison, intake, metrics.clone()));
        // Ended when they are dropped.
        let mut helpers = JoinSet::new();
        helpers.spawn(hand::keep(consumer.clone()));
        helpers.spawn(gauges::measure(self.queue, metrics, consumer.clone()));
        let workers = Workers::start(self.workers, &consumer);
        consumer::poll(&consumer, workers, end).await;
        hand.emptied().await;
        tracing::info!("nothing is received from the queue any more, and nothing is left in hand");
    }
}
