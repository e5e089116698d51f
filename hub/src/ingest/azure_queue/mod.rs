//! The Azure Storage queue as a source (`bitwarden.md` 2.6, `decisions.md` 6). Hubs with a backplane compete for one queue.
//! Hubs without a backplane take turns.
//!
//! ```text
//! poll -> worker of the user or organization -> hand over -> delete
//!      -> poison queue ----------------------------------> delete
//! ```
//!
//! A message stays in the queue, hidden from other hubs, until it has been handed over. `inflight` extends its visibility
//! timeout until then. All tasks run on the `timely` thread, so requests and tokens do not delay their deadlines.

mod consumer;
pub mod content;
mod delivered_ids;
mod error_log;
mod inflight;
mod poison;
mod queue_metrics;
mod turn_lease;
mod workers;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use self::consumer::Consumer;
use self::error_log::ErrorLog;
use self::inflight::InflightMessages;
use self::poison::PoisonQueue;
use self::turn_lease::TurnLease;
use self::workers::Workers;
use super::PushPipeline;
use crate::azure_storage::{Queue, QueueError};
use crate::config;
use crate::net::backoff::Backoff;
use crate::observability::Metrics;

/// The maximum delay after the first error of an operation. Each further error doubles it.
const INITIAL_ERROR_DELAY: Duration = Duration::from_millis(250);

/// The maximum delay after an error.
const MAX_ERROR_DELAY: Duration = Duration::from_secs(15);

/// Creates the backoff for consecutive errors of one operation.
fn error_backoff() -> Backoff {
    Backoff::new(INITIAL_ERROR_DELAY, MAX_ERROR_DELAY)
}

/// A queue source that does not receive yet.
pub struct AzureQueueSource {
    queue: Arc<Queue>,
    poison: PoisonQueue,
    workers: usize,
    turn_lease: Option<TurnLease>,
    /// Whether this hub holds the turn lease or needs none.
    may_receive: watch::Receiver<bool>,
}

impl AzureQueueSource {
    /// Creates the source of these settings. A hub that is `alone`, without a backplane, takes turns with other hubs. Sends no
    /// request yet, so a hub starts while the service is unreachable.
    ///
    /// # Errors
    /// If the workload has no identity.
    pub fn open(settings: &config::AzureQueueConfig, alone: bool) -> Result<AzureQueueSource, QueueError> {
        let open = |name| Queue::open(&settings.account, name);
        let queue = Arc::new(open(&settings.queue_name)?);
        let poison = PoisonQueue::new(open(&settings.poison_queue_name)?);
        let turn_lease = if alone { Some(TurnLease::new(open(&settings.queue_name.turns())?)) } else { None };
        let may_receive = turn_lease.as_ref().map_or_else(|| watch::channel(true).1, TurnLease::subscribe);
        Ok(AzureQueueSource { queue, poison, workers: settings.workers, turn_lease, may_receive })
    }

    /// Holds the turn lease until `release`. Then the next hub may receive. Ends at once if this hub needs no lease.
    pub fn hold_turn_lease<R: Future<Output = ()>>(&mut self, release: R) -> impl Future<Output = ()> + use<R> {
        let turn_lease = self.turn_lease.take();
        async move {
            if let Some(turn_lease) = turn_lease {
                turn_lease.run(release).await;
            }
        }
    }

    /// Receives until `end`, then finishes the messages in flight.
    pub async fn run(self, pipeline: PushPipeline, metrics: Arc<Metrics>, end: impl Future<Output = ()>) {
        tracing::info!(queue = self.queue.name().as_str(), "queue source started");
        let inflight = Arc::new(InflightMessages::new(self.queue.clone()));
        let error_log = Arc::new(ErrorLog::default());
        let consumer = Arc::new(Consumer::new(
            self.queue.clone(),
            inflight.clone(),
            self.poison,
            pipeline,
            metrics.clone(),
            error_log.clone(),
        ));
        // The drop of the set ends its tasks.
        let mut background_tasks = JoinSet::new();
        background_tasks.spawn(inflight::renew_leases(inflight.clone(), error_log));
        background_tasks.spawn(queue_metrics::run(self.queue, metrics, consumer.clone()));
        let handing_over = consumer.clone();
        let workers = Workers::start(self.workers, move |item| handing_over.clone().hand_over(item));
        consumer::poll(&consumer, workers, self.may_receive, end).await;
        inflight.wait_empty().await;
        tracing::info!("queue source ended: no message is in flight");
    }
}
