//! The turn lease: the right of one hub to receive from the queue. Runs on the `timely` thread.
//!
//! Without a backplane, only the hub that a client is connected to can deliver its push. So of several hubs, such as the old
//! and the new one of a rollout, one receives at a time. The lease is the only message of another queue, hidden from other
//! hubs by a visibility timeout. A hub that ends releases the lease after its clients have been disconnected.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::error_backoff;
use super::error_log::ErrorLog;
use crate::azure_storage::{DequeuedMessage, Queue, QueueError, TimeToLive};

/// The visibility timeout of the lease's message. After a crash the next hub waits for at most this long.
const LEASE_DURATION: Duration = Duration::from_secs(6);

/// How often the lease is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// How long a renewal may take: two fit into a lease, and a part of a third.
const RENEW_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long an attempt to acquire the lease may take, including the creation of its queue and message.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a waiting hub tries to acquire the lease.
const ACQUIRE_INTERVAL: Duration = Duration::from_millis(500);

/// After more consecutive responses than this from an empty queue, the message was deleted and is written again.
const MAX_EMPTY_RESPONSES: u32 = 20;

/// How long to wait before the next attempt if the account does not permit the lease's queue.
const REFUSED_RETRY_DELAY: Duration = Duration::from_secs(60);

/// The operation in log lines.
const OPERATION: &str = "acquire the turn lease";

/// The text of the lease's message, for people who look into the queue.
const MESSAGE_TEXT: &str = "The notification hub that holds this message receives from the queue. Do not delete it.";

/// The turn lease of a queue.
pub(super) struct TurnLease {
    queue: Queue,
    is_held: watch::Sender<bool>,
    error_log: ErrorLog,
}

impl TurnLease {
    /// Creates a lease that is not held. Its message is in `queue`.
    pub(super) fn new(queue: Queue) -> TurnLease {
        TurnLease { queue, is_held: watch::Sender::new(false), error_log: ErrorLog::default() }
    }

    /// Returns a receiver that is true while this hub may receive.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.is_held.subscribe()
    }

    /// Acquires the lease, renews it until `release`, and then releases it to the next hub. Acquires a lost lease again.
    pub(super) async fn run(self, release: impl Future<Output = ()>) {
        let mut release = std::pin::pin!(release);
        loop {
            let (message, until) = tokio::select! {
                () = &mut release => return,
                acquired = self.acquire() => acquired,
            };
            tracing::info!("turn lease acquired: this hub receives from the queue");
            let released = self.renew_until_released(message, until, &mut release).await;
            self.is_held.send_replace(false);
            match released {
                Some(()) => return,
                None => tracing::warn!("turn lease lost: another hub holds it, or its message was deleted"),
            }
        }
    }

    /// Waits until this hub holds the lease. Returns its message and the time until which the lease is valid at least.
    async fn acquire(&self) -> (DequeuedMessage, Instant) {
        let (mut backoff, mut empty_responses) = (error_backoff(), 0);
        loop {
            let requested_at = Instant::now();
            let attempt = self.try_acquire(&mut empty_responses);
            let delay = match with_deadline(requested_at + ACQUIRE_TIMEOUT, attempt).await {
                Ok(Some(message)) => {
                    self.error_log.record_success(OPERATION);
                    let until = requested_at + LEASE_DURATION;
                    self.is_held.send_replace(Instant::now() < until);
                    return (message, until);
                }
                Ok(None) => {
                    self.error_log.record_success(OPERATION);
                    backoff.reset();
                    self.is_held.send_replace(false);
                    ACQUIRE_INTERVAL
                }
                Err(error @ QueueError::Refused { .. }) => {
                    self.error_log.record_error(OPERATION, &error);
                    // No hub can hold the lease then. To receive without it is better than not to receive.
                    self.is_held.send_replace(true);
                    REFUSED_RETRY_DELAY
                }
                Err(error) => {
                    self.error_log.record_error(OPERATION, &error);
                    backoff.next_delay()
                }
            };
            sleep(delay).await;
        }
    }

    /// Requests the lease once, and creates its queue or message if they are missing. Returns `None` if another hub holds the
    /// lease. `empty_responses` counts the consecutive responses from an empty queue.
    async fn try_acquire(&self, empty_responses: &mut u32) -> Result<Option<DequeuedMessage>, QueueError> {
        match self.queue.receive(1, LEASE_DURATION).await {
            Ok(messages) if messages.is_empty() => {
                *empty_responses = if self.queue.approximate_len().await? == 0 { *empty_responses + 1 } else { 0 };
                if *empty_responses > MAX_EMPTY_RESPONSES {
                    *empty_responses = 0;
                    self.queue.send(MESSAGE_TEXT.to_owned(), TimeToLive::Unlimited).await?;
                }
                Ok(None)
            }
            Ok(messages) => Ok(messages.into_iter().next()),
            Err(QueueError::Missing) => {
                // Several hubs may try this at once. Only the one that creates the queue writes the message.
                if self.queue.create().await? {
                    self.queue.send(MESSAGE_TEXT.to_owned(), TimeToLive::Unlimited).await?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Renews the lease, which is valid `until` then, until `release`, and releases it. Returns `None` if it was lost before.
    async fn renew_until_released(
        &self,
        message: DequeuedMessage,
        mut until: Instant,
        release: &mut (impl Future<Output = ()> + Unpin),
    ) -> Option<()> {
        let DequeuedMessage { id, mut receipt, .. } = message;
        loop {
            let is_released = tokio::select! {
                () = &mut *release => true,
                () = sleep(RENEW_INTERVAL) => false,
            };
            let hidden_for = if is_released { Duration::ZERO } else { LEASE_DURATION };
            let requested_at = Instant::now();
            // By the end of the lease this hub has to know whether it still holds it.
            let end = if until > requested_at { until } else { requested_at + RENEW_TIMEOUT };
            let deadline = end.min(requested_at + RENEW_TIMEOUT);
            match with_deadline(deadline, self.queue.extend_visibility(&id, &receipt, hidden_for)).await {
                _ if is_released => return Some(()),
                Ok(renewed) => {
                    self.error_log.record_success(OPERATION);
                    (receipt, until) = (renewed, requested_at + LEASE_DURATION);
                    self.is_held.send_replace(true);
                }
                Err(QueueError::LeaseLost { .. } | QueueError::Missing) => return None,
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            if Instant::now() >= until {
                // Another hub may hold it now. If none does, the next renewal succeeds.
                self.is_held.send_replace(false);
            }
        }
    }
}

/// Returns the result of a request, or [`QueueError::Unreachable`] if there is none before the deadline.
async fn with_deadline<T>(
    deadline: Instant,
    request: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::Unreachable("no answer in time".to_owned()));
    timeout_at(deadline, request).await.unwrap_or_else(late)
}
