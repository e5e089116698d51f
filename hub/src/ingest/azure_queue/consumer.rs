//! Polls the queue, dispatches its messages, and deletes those that were handed over or moved to the poison queue.
//! Runs on the `timely` thread.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::content::{self, DecodedMessage};
use super::delivered_ids::DeliveredIds;
use super::error_backoff;
use super::error_log::ErrorLog;
use super::inflight::{InflightMessages, LeasedMessage, MAX_RECEIVE_BATCH, VISIBILITY_TIMEOUT};
use super::poison::PoisonQueue;
use super::workers::{WorkItem, Workers};
use crate::azure_storage::{DequeuedMessage, Queue, QueueError};
use crate::ingest::PushPipeline;
use crate::net::backoff::Backoff;
use crate::notification::MalformedPush;
use crate::observability::Metrics;

/// The delay after an empty response. Each further empty response doubles it.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The maximum delay after an empty response. Including the request, a push to an idle hub waits for at most a second.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(900);

/// A message that was received more often than this is logged. It is not moved to the poison queue: restarts and errors of
/// the service raise the count too.
const HIGH_DEQUEUE_COUNT: i64 = 20;

/// Maximum number of concurrent delete requests.
const MAX_CONCURRENT_DELETES: usize = 32;

/// Number of attempts to write a message to the poison queue. After them it becomes visible and is received again.
const MAX_POISON_ATTEMPTS: usize = 3;

/// How long a step of the poll loop may take before it is dropped and repeated. Longer than the timeouts of the HTTP client.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(90);

/// The state that all tasks of the source share.
pub(super) struct Consumer {
    queue: Arc<Queue>,
    poison: PoisonQueue,
    metrics: Arc<Metrics>,
    delivered_ids: DeliveredIds,
    deletions: Semaphore,
    /// The messages in flight.
    pub(super) inflight: Arc<InflightMessages>,
    /// Routes and publishes the pushes.
    pipeline: PushPipeline,
    /// Logs the errors of queue operations.
    pub(super) error_log: Arc<ErrorLog>,
}

impl Consumer {
    /// Creates a consumer of a queue.
    pub(super) fn new(
        queue: Arc<Queue>,
        inflight: Arc<InflightMessages>,
        poison: PoisonQueue,
        pipeline: PushPipeline,
        metrics: Arc<Metrics>,
        error_log: Arc<ErrorLog>,
    ) -> Consumer {
        let delivered_ids = DeliveredIds::default();
        let deletions = Semaphore::new(MAX_CONCURRENT_DELETES);
        Consumer { queue, poison, metrics, delivered_ids, deletions, inflight, pipeline, error_log }
    }

    /// Receives a batch and dispatches its messages. Returns their number.
    async fn receive(
        self: &Arc<Self>,
        mut permits: OwnedSemaphorePermit,
        workers: &Workers,
    ) -> Result<usize, QueueError> {
        let requested_at = Instant::now();
        let messages = self.queue.receive(MAX_RECEIVE_BATCH, VISIBILITY_TIMEOUT).await?;
        let count = messages.len();
        for message in messages {
            // The service sends no more messages than requested, so there is a permit for each.
            let Some(permit) = permits.split(1) else { break };
            let leased = self.inflight.track(&message, requested_at, permit);
            self.dispatch(message, leased, workers);
        }
        Ok(count)
    }

    fn dispatch(self: &Arc<Self>, message: DequeuedMessage, leased: Arc<LeasedMessage>, workers: &Workers) {
        if message.dequeue_count > HIGH_DEQUEUE_COUNT {
            tracing::warn!(id = message.id, dequeue_count = message.dequeue_count, "queue message received many times");
        }
        if self.delivered_ids.remove(&message.id) {
            tracing::debug!(id = message.id, "queue message was handed over before; it is only deleted");
            tokio::spawn(self.clone().delete(leased));
            return;
        }
        match content::read(&message.text) {
            DecodedMessage::Push(notification) => {
                workers.dispatch(WorkItem { message: leased, notification, since: std::time::Instant::now() });
            }
            DecodedMessage::Empty => _ = tokio::spawn(self.clone().delete(leased)),
            DecodedMessage::Invalid(malformed) => {
                _ = tokio::spawn(self.clone().move_to_poison_queue(leased, message.text, malformed));
            }
        }
    }

    /// Writes a message to the poison queue, then deletes it. Leaves it where it is if it cannot be written.
    async fn move_to_poison_queue(
        self: Arc<Self>,
        message: Arc<LeasedMessage>,
        text: String,
        malformed: MalformedPush,
    ) {
        const OPERATION: &str = "write to the poison queue";
        let mut backoff = error_backoff();
        for _ in 0..MAX_POISON_ATTEMPTS {
            match self.poison.send(&malformed.to_string(), &text).await {
                Ok(()) => {
                    self.error_log.record_success(OPERATION);
                    self.metrics.pushed("poisoned", None);
                    tracing::warn!(id = message.id, %malformed, "message moved to the poison queue");
                    return self.delete(message).await;
                }
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Hands over the push of a message, and then deletes the message in a task of its own.
    pub(super) async fn hand_over(self: Arc<Self>, item: WorkItem) {
        if item.message.is_lease_expired() {
            tracing::debug!(
                id = item.message.id,
                "queue message lease expired before the handover; it is received again"
            );
            return;
        }
        self.pipeline.deliver_reliably(&item.notification, item.since).await;
        tokio::spawn(self.delete(item.message));
    }

    /// Deletes a message, and repeats failed requests until its lease has expired. Remembers the id of a message that it could
    /// not delete, because that message may be received again.
    async fn delete(self: Arc<Self>, message: Arc<LeasedMessage>) {
        const OPERATION: &str = "delete messages";
        let mut backoff = error_backoff();
        loop {
            let result = match self.deletions.acquire().await {
                Ok(_permit) => message.delete().await,
                // The semaphore is never closed.
                Err(_) => return,
            };
            match result {
                Ok(()) => return self.error_log.record_success(OPERATION),
                Err(QueueError::LeaseLost { code }) => {
                    tracing::debug!(id = message.id, code, "queue message lease lost before the deletion");
                    break;
                }
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            if message.is_lease_expired() {
                break;
            }
            sleep(backoff.next_delay()).await;
        }
        self.delivered_ids.insert(&message.id);
    }
}

/// Polls until `end`, and only while `may_receive` is true. The workers and tasks that handle the messages outlast this
/// function.
pub(super) async fn poll(
    consumer: &Arc<Consumer>,
    workers: Workers,
    mut may_receive: watch::Receiver<bool>,
    end: impl Future<Output = ()>,
) {
    const OPERATION: &str = "receive messages";
    let mut end = pin!(end);
    let (mut idle, mut backoff) = (Backoff::new(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL), error_backoff());
    loop {
        let permits = tokio::select! {
            biased;
            () = &mut end => return,
            permits = timeout(WATCHDOG_TIMEOUT, consumer.inflight.reserve_batch()) => permits,
        };
        let permits = match permits {
            Ok(Some(permits)) => permits,
            Ok(None) => return,
            Err(_) => {
                tracing::error!(
                    in_flight = consumer.inflight.len(),
                    "queue messages are neither handed over nor deleted"
                );
                continue;
            }
        };
        // While other replicas cannot be reached, more messages in flight would only wait. While another hub holds the turn
        // lease, the messages are that hub's.
        tokio::select! {
            () = &mut end => return,
            () = consumer.pipeline.wait_writable() => {}
        }
        tokio::select! {
            () = &mut end => return,
            allowed = may_receive.wait_for(|may_receive| *may_receive) => if allowed.is_err() { return },
        }
        // `end` does not cancel a request: its messages would be hidden from all hubs until their visibility timeout.
        let delay = match timeout(WATCHDOG_TIMEOUT, consumer.receive(permits, &workers)).await {
            Ok(Ok(count)) => {
                consumer.error_log.record_success(OPERATION);
                backoff.reset();
                if count > 0 {
                    // More messages may be there.
                    idle.reset();
                    Duration::ZERO
                } else {
                    idle.next_exact_delay()
                }
            }
            Ok(Err(error)) => {
                consumer.error_log.record_error(OPERATION, &error);
                backoff.next_delay()
            }
            Err(_) => {
                tracing::error!(seconds = WATCHDOG_TIMEOUT.as_secs(), "queue request made no progress; repeating it");
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = &mut end => return,
            () = sleep(delay) => {}
        }
    }
}
