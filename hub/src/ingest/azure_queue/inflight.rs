//! The leased messages: received and not deleted yet. Extends their visibility timeouts until they are deleted.
//! Runs on the `timely` thread.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::error_log::ErrorLog;
use crate::azure_storage::{DequeuedMessage, Queue, QueueError};

/// Maximum number of messages in flight.
pub(super) const MAX_INFLIGHT: usize = 256;

/// Maximum number of messages of one receive request, a limit of the service.
pub(super) const MAX_RECEIVE_BATCH: usize = 32;

/// The visibility timeout. Bounds how long a message is delayed after a crash.
pub(super) const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long before its end a visibility timeout may be extended.
const RENEW_BEFORE: Duration = Duration::from_secs(15);

/// How often the messages are checked for visibility timeouts to extend.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long one request for a message may take. A renewal that hangs can be repeated before the message becomes visible.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The messages in flight.
pub(super) struct InflightMessages {
    queue: Arc<Queue>,
    permits: Arc<Semaphore>,
    messages: Mutex<Vec<Weak<LeasedMessage>>>,
}

/// A message in flight, hidden from other hubs by its visibility timeout.
pub(super) struct LeasedMessage {
    /// The message id.
    pub(super) id: String,
    queue: Arc<Queue>,
    lease: Mutex<MessageLease>,
    /// Locked during a request for the message, because each renewal replaces the pop receipt.
    request: tokio::sync::Mutex<()>,
    _permit: OwnedSemaphorePermit,
}

/// The pop receipt of a message, and the time until which it is valid at least.
struct MessageLease {
    receipt: String,
    until: Instant,
}

impl InflightMessages {
    /// Creates an empty set.
    pub(super) fn new(queue: Arc<Queue>) -> InflightMessages {
        InflightMessages { queue, permits: Arc::new(Semaphore::new(MAX_INFLIGHT)), messages: Mutex::default() }
    }

    /// Waits for the permits of a batch. Returns `None` if the semaphore is closed, which it never is.
    pub(super) async fn reserve_batch(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_many_owned(MAX_RECEIVE_BATCH as u32).await.ok()
    }

    /// Returns the number of messages in flight, including the reserved permits.
    pub(super) fn len(&self) -> usize {
        MAX_INFLIGHT - self.permits.available_permits()
    }

    /// Tracks a message that was requested at `requested_at`.
    pub(super) fn track(
        &self,
        received: &DequeuedMessage,
        requested_at: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Arc<LeasedMessage> {
        let until = requested_at + VISIBILITY_TIMEOUT;
        let lease = Mutex::new(MessageLease { receipt: received.receipt.clone(), until });
        let (id, queue, request) = (received.id.clone(), self.queue.clone(), tokio::sync::Mutex::default());
        let message = Arc::new(LeasedMessage { id, queue, lease, request, _permit: permit });
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&message));
        message
    }

    /// Waits until no message is in flight.
    pub(super) async fn wait_empty(&self) {
        // The semaphore is never closed.
        let _ = self.permits.acquire_many(MAX_INFLIGHT as u32).await;
    }

    /// Returns the messages that are still in flight, and forgets the others.
    fn upgrade_all(&self) -> Vec<Arc<LeasedMessage>> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|message| message.strong_count() > 0);
        messages.iter().filter_map(Weak::upgrade).collect()
    }
}

impl LeasedMessage {
    /// Returns whether the visibility timeout has ended, so that another hub may receive the message. Never waits for a request.
    pub(super) fn is_lease_expired(&self) -> bool {
        self.lease().until <= Instant::now()
    }

    /// Deletes the message, after a renewal that is under way.
    pub(super) async fn delete(&self) -> Result<(), QueueError> {
        let _request = self.request.lock().await;
        let receipt = self.lease().receipt.clone();
        with_timeout(self.queue.delete(&self.id, &receipt)).await
    }

    /// Extends the visibility timeout, unless another request for the message is under way. Marks a lost lease as expired.
    async fn renew(self: Arc<Self>) -> Result<(), QueueError> {
        let Ok(_request) = self.request.try_lock() else { return Ok(()) };
        let (receipt, now) = (self.lease().receipt.clone(), Instant::now());
        match with_timeout(self.queue.extend_visibility(&self.id, &receipt, VISIBILITY_TIMEOUT)).await {
            Ok(receipt) => *self.lease() = MessageLease { receipt, until: now + VISIBILITY_TIMEOUT },
            Err(QueueError::LeaseLost { .. }) => self.lease().until = now,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns whether the visibility timeout ends soon and no request for the message is under way.
    fn is_due(&self) -> bool {
        let (until, now) = (self.lease().until, Instant::now());
        now < until && until <= now + RENEW_BEFORE && self.request.try_lock().is_ok()
    }

    fn lease(&self) -> MutexGuard<'_, MessageLease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the result of a request, or [`QueueError::Unreachable`] after [`REQUEST_TIMEOUT`].
async fn with_timeout<T>(request: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::Unreachable("no answer in time".to_owned()));
    timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late)
}

/// Extends visibility timeouts concurrently, until the task is aborted.
pub(super) async fn renew_leases(inflight: Arc<InflightMessages>, error_log: Arc<ErrorLog>) {
    const OPERATION: &str = "extend visibility timeouts";
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewals = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = checks.tick() => {
                let due = inflight.upgrade_all().into_iter().filter(|message| message.is_due());
                renewals.extend(due.map(LeasedMessage::renew));
            }
            Some(renewed) = renewals.next() => match renewed {
                Ok(()) => error_log.record_success(OPERATION),
                Err(error) => error_log.record_error(OPERATION, &error),
            },
        }
    }
}
