//! The Azure Storage queue as a source (`bitwarden.md` 2.6, `decisions.md` 6): several hubs with a backplane compete for one
//! queue, hubs without one take turns.
//!
//! ```text
//! poll -> worker of the user or organisation -> hand over -> delete
//!      -> poison queue ----------------------------------> delete
//! ```
//!
//! A message stays in the queue, hidden from others, until it has been handed over; `hand` keeps it hidden for so long.

mod consumer;
pub mod content;
mod faults;
mod gauges;
mod hand;
mod pace;
mod poison;
mod turns;
mod undeleted;
mod workers;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::consumer::Consumer;
use self::hand::Hand;
use self::poison::Poison;
use self::turns::Turns;
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
    turns: Option<Turns>,
    /// Whether it is this hub's turn.
    may_receive: watch::Receiver<bool>,
}

impl AzureQueue {
    /// The source of these settings; a hub that is `alone`, without a backplane, takes turns with others. Nothing is asked of the
    /// service yet: a hub starts while it is away.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn open(settings: &config::AzureQueue, alone: bool) -> Result<AzureQueue, QueueError> {
        let open = |name| Queue::open(&settings.account, name);
        let queue = Arc::new(open(&settings.queue)?);
        let poison = Poison::new(open(&settings.poison_queue)?);
        let turns = if alone { Some(Turns::new(open(&settings.queue.turns())?)) } else { None };
        let may_receive = turns.as_ref().map_or_else(|| watch::channel(true).1, Turns::held);
        Ok(AzureQueue { queue, poison, workers: settings.workers, turns, may_receive })
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
    pub async fn run(self, intake: Intake, metrics: Arc<Metrics>, end: impl Future<Output = ()>) {
        tracing::info!(queue = self.queue.name().as_str(), "receiving pushes from a queue");
        let hand = Arc::new(Hand::new(self.queue.clone()));
        let consumer = Arc::new(Consumer::new(self.queue.clone(), hand.clone(), self.poison, intake, metrics.clone()));
        // Ended when they are dropped.
        let mut helpers = JoinSet::new();
        helpers.spawn(hand::keep(consumer.clone()));
        helpers.spawn(gauges::measure(self.queue, metrics, consumer.clone()));
        let workers = Workers::start(self.workers, &consumer);
        consumer::poll(&consumer, workers, self.may_receive, end).await;
        hand.emptied().await;
        tracing::info!("nothing is received from the queue any more, and nothing is left in hand");
    }
}
