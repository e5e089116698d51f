//! Polls the queue and sees each message to its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::content::{self, DecodedMessage};
use super::delivered_ids::DeliveredIds;
use super::error_log::ErrorLog;
use super::inflight::{InflightMessages, LeasedMessage, MAX_RECEIVE_BATCH, VISIBILITY_TIMEOUT};
use super::poison::DeadLetterQueue;
use super::poll_interval::{PollInterval, error_backoff};
use super::workers::{WorkItem, Workers};
use crate::azure_storage::{Queue, QueueError, Received};
use crate::ingest::PushPipeline;
use crate::net::backoff::random;
use crate::notification::MalformedPush;
use crate::observability::Metrics;

/// A message that was received more often than this is logged; it is no fault of the message.
const HIGH_DEQUEUE_COUNT: i64 = 20;

/// How many messages are deleted at the same time.
const MAX_CONCURRENT_DELETES: usize = 32;

/// How often it is tried to write a message to the poison queue, before it is left to come again.
const POISON_TRIES: usize = 3;

/// The watchdog: after how long without progress a request is given up and begun anew. Longer than its own timeouts.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(90);

/// What all parts of the source share.
pub(super) struct Consumer {
    queue: Arc<Queue>,
    poison: DeadLetterQueue,
    metrics: Arc<Metrics>,
    delivered_ids: DeliveredIds,
    deletions: Semaphore,
    /// The messages in hand.
    pub(super) inflight: Arc<InflightMessages>,
    /// Where pushes go.
    pub(super) pipeline: PushPipeline,
    /// What goes wrong.
    pub(super) error_log: ErrorLog,
}

impl Consumer {
    /// A consumer of a queue.
    pub(super) fn new(
        queue: Arc<Queue>,
        inflight: Arc<InflightMessages>,
        poison: DeadLetterQueue,
        pipeline: PushPipeline,
        metrics: Arc<Metrics>,
    ) -> Consumer {
        let (delivered_ids, error_log) = (DeliveredIds::default(), ErrorLog::default());
        let deletions = Semaphore::new(MAX_CONCURRENT_DELETES);
        Consumer { queue, poison, metrics, delivered_ids, deletions, inflight, pipeline, error_log }
    }

    /// Receives a batch and sees to its messages; how many there were.
    async fn receive(self: &Arc<Self>, mut room: OwnedSemaphorePermit, workers: &Workers) -> Result<usize, QueueError> {
        let asked = Instant::now();
        let messages = self.queue.receive(MAX_RECEIVE_BATCH, VISIBILITY_TIMEOUT).await?;
        let count = messages.len();
        for message in messages {
            // More than were asked for do not come.
            let Some(place) = room.split(1) else { break };
            let held = self.inflight.track(&message, asked, place);
            self.begin(message, held, workers);
        }
        Ok(count)
    }

    fn begin(self: &Arc<Self>, message: Received, held: Arc<LeasedMessage>, workers: &Workers) {
        if message.times > HIGH_DEQUEUE_COUNT {
            tracing::warn!(id = message.id, times = message.times, "a message was received many times");
        }
        if self.delivered_ids.remove(&message.id) {
            tracing::debug!(id = message.id, "a message that was handed over before");
            tokio::spawn(self.clone().remove(held));
            return;
        }
        match content::read(&message.text) {
            DecodedMessage::Push(notification) => {
                workers.dispatch(WorkItem { held, notification, since: std::time::Instant::now() });
            }
            DecodedMessage::Empty => _ = tokio::spawn(self.clone().remove(held)),
            DecodedMessage::Invalid(malformed) => _ = tokio::spawn(self.clone().bury(held, message.text, malformed)),
        }
    }

    /// Puts a message into the poison queue, and deletes it once it is there.
    async fn bury(self: Arc<Self>, held: Arc<LeasedMessage>, text: String, malformed: MalformedPush) {
        const OPERATION: &str = "writing to the poison queue";
        let mut backoff = error_backoff();
        for _ in 0..POISON_TRIES {
            match self.poison.send(&malformed.to_string(), &text).await {
                Ok(()) => {
                    self.error_log.record_success(OPERATION);
                    self.metrics.pushed("poisoned", None);
                    tracing::warn!(id = held.id, %malformed, "a message went to the poison queue");
                    return self.remove(held).await;
                }
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            sleep(backoff.next_delay(random())).await;
        }
    }

    /// Deletes a message that is done with, however long that takes.
    pub(super) async fn remove(self: Arc<Self>, held: Arc<LeasedMessage>) {
        const OPERATION: &str = "deleting messages";
        let mut backoff = error_backoff();
        loop {
            let result = match self.deletions.acquire().await {
                Ok(_turn) => held.delete().await,
                // It is never closed.
                Err(_) => return,
            };
            match result {
                Ok(()) => return self.error_log.record_success(OPERATION),
                Err(QueueError::LeaseLost { code }) => {
                    tracing::debug!(id = held.id, code, "a message was gone before it was deleted");
                    break;
                }
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            if held.is_lease_expired() {
                break;
            }
            sleep(backoff.next_delay(random())).await;
        }
        // If it is still there, it comes again, and its clients have had it.
        self.delivered_ids.insert(&held.id);
    }
}

/// Polls until `end`, while `may_receive` says so. What is received is given to the workers and to tasks of its own, and
/// outlasts this.
pub(super) async fn poll(
    consumer: &Arc<Consumer>,
    workers: Workers,
    mut may_receive: watch::Receiver<bool>,
    end: impl Future<Output = ()>,
) {
    const OPERATION: &str = "receiving messages";
    let mut end = pin!(end);
    let (mut poll_interval, mut backoff) = (PollInterval::default(), error_backoff());
    loop {
        let room = tokio::select! {
            biased;
            () = &mut end => return,
            room = timeout(WATCHDOG_TIMEOUT, consumer.inflight.reserve_batch()) => room,
        };
        let room = match room {
            Ok(Some(room)) => room,
            Ok(None) => return,
            Err(_) => {
                tracing::error!(in_hand = consumer.inflight.len(), "messages are neither handed over nor deleted");
                continue;
            }
        };
        // While other replicas can't be reached, what is in hand is enough; while it is another hub's turn, too.
        tokio::select! {
            () = &mut end => return,
            () = consumer.pipeline.wait_writable() => {}
        }
        tokio::select! {
            () = &mut end => return,
            turn = may_receive.wait_for(|may| *may) => if turn.is_err() { return },
        }
        // A request under way is not given up at the end: what it brings would be hidden from everybody for a while.
        let pause = match timeout(WATCHDOG_TIMEOUT, consumer.receive(room, &workers)).await {
            Ok(Ok(count)) => {
                consumer.error_log.record_success(OPERATION);
                backoff.reset();
                if count > 0 { poll_interval.reset() } else { poll_interval.next_idle() }
            }
            Ok(Err(error)) => {
                consumer.error_log.record_error(OPERATION, &error);
                backoff.next_delay(random())
            }
            Err(_) => {
                tracing::error!(
                    seconds = WATCHDOG_TIMEOUT.as_secs(),
                    "a request to the queue made no progress: begun anew"
                );
                backoff.next_delay(random())
            }
        };
        tokio::select! {
            () = &mut end => return,
            () = sleep(pause) => {}
        }
    }
}
