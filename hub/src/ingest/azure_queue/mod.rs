//! The Azure Storage queue as a source (`bitwarden.md` 2.6, `decisions.md` 6): several hubs with a backplane compete for one
//! queue, hubs without one take turns.
//!
//! ```text
//! poll -> worker of the user or organisation -> hand over -> delete
//!      -> poison queue ----------------------------------> delete
//! ```
//!
//! A message stays in the queue, hidden from others, until it has been handed over; `inflight` keeps it hidden for so long.

mod consumer;
pub mod content;
mod delivered_ids;
mod error_log;
mod inflight;
mod poison;
mod poll_interval;
mod queue_metrics;
mod turns;
mod workers;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::consumer::Consumer;
use self::inflight::InflightMessages;
use self::poison::DeadLetterQueue;
use self::turns::Turns;
use self::workers::Workers;
use super::PushPipeline;
use crate::azure_storage::{Queue, QueueError};
use crate::config;
use crate::observability::Metrics;

/// A queue that is not received from yet.
pub struct AzureQueueSource {
    queue: Arc<Queue>,
    poison: DeadLetterQueue,
    workers: usize,
    turns: Option<Turns>,
    /// Whether it is this hub's turn.
    may_receive: watch::Receiver<bool>,
}

impl AzureQueueSource {
    /// The source of these settings; a hub that is `alone`, without a backplane, takes turns with others. Nothing is asked of the
    /// service yet: a hub starts while it is away.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn open(settings: &config::AzureQueueConfig, alone: bool) -> Result<AzureQueueSource, QueueError> {
        let open = |name| Queue::open(&settings.account, name);
        let queue = Arc::new(open(&settings.queue)?);
        let poison = DeadLetterQueue::new(open(&settings.poison_queue)?);
        let turns = if alone { Some(Turns::new(open(&settings.queue.turns())?)) } else { None };
        let may_receive = turns.as_ref().map_or_else(|| watch::channel(true).1, Turns::may_receive);
        Ok(AzureQueueSource { queue, poison, workers: settings.workers, turns, may_receive })
    }

    /// Takes turns at the queue, until `release`; then the next hub may receive. Ends at once if there are none to take.
    pub fn take_turns<R: Future<Output = ()>>(&mut self, release: R) -> impl Future<Output = ()> + use<R> {
        let turns = self.turns.take();
        async move {
            if let Some(turns) = turns {
                turns.run(release).await;
            }
        }
    }

    /// Receives until `end`, then finishes what is in hand.
    pub async fn run(self, pipeline: PushPipeline, metrics: Arc<Metrics>, end: impl Future<Output = ()>) {
        tracing::info!(queue = self.queue.name().as_str(), "receiving pushes from a queue");
        let inflight = Arc::new(InflightMessages::new(self.queue.clone()));
        let consumer =
            Arc::new(Consumer::new(self.queue.clone(), inflight.clone(), self.poison, pipeline, metrics.clone()));
        // Ended when they are dropped.
        let mut helpers = JoinSet::new();
        helpers.spawn(inflight::renew_leases(consumer.clone()));
        helpers.spawn(queue_metrics::run(self.queue, metrics, consumer.clone()));
        let workers = Workers::start(self.workers, &consumer);
        consumer::poll(&consumer, workers, self.may_receive, end).await;
        inflight.wait_empty().await;
        tracing::info!("nothing is received from the queue any more, and nothing is left in hand");
    }
}
