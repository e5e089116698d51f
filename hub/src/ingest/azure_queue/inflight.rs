//! The leased messages: received and not deleted yet. Their visibility timeout is extended for as long as that takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::consumer::Consumer;
use crate::azure_storage::{Queue, QueueError, Received};

/// The most messages in flight.
pub(super) const MAX_INFLIGHT: usize = 256;

/// The most messages in one request, by the service's limit.
pub(super) const MAX_RECEIVE_BATCH: usize = 32;

/// The visibility timeout. Bounds how long a message is delayed after a crash.
pub(super) const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long before its end a visibility timeout is extended.
const RENEW_BEFORE: Duration = Duration::from_secs(15);

/// How often messages are checked for that.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long one request about a message may take: a renewal that hangs is made again before the message is seen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The messages in flight.
pub(super) struct InflightMessages {
    queue: Arc<Queue>,
    permits: Arc<Semaphore>,
    held: Mutex<Vec<Weak<LeasedMessage>>>,
}

/// A message in flight.
pub(super) struct LeasedMessage {
    /// Its id.
    pub(super) id: String,
    queue: Arc<Queue>,
    lease: Mutex<MessageLease>,
    /// Held during a request about the message: a receipt is good for one.
    request: tokio::sync::Mutex<()>,
    _room: OwnedSemaphorePermit,
}

/// The pop receipt of a message, and until when it is valid at least.
struct MessageLease {
    receipt: String,
    until: Instant,
}

impl InflightMessages {
    /// Creates an empty set.
    pub(super) fn new(queue: Arc<Queue>) -> InflightMessages {
        InflightMessages { queue, permits: Arc::new(Semaphore::new(MAX_INFLIGHT)), held: Mutex::default() }
    }

    /// Waits for permits for a batch. Returns `None` if there will never be any.
    pub(super) async fn reserve_batch(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_many_owned(MAX_RECEIVE_BATCH as u32).await.ok()
    }

    /// Returns how many messages are in flight.
    pub(super) fn len(&self) -> usize {
        MAX_INFLIGHT - self.permits.available_permits()
    }

    /// Tracks a message that was requested at `asked`.
    pub(super) fn track(&self, received: &Received, asked: Instant, room: OwnedSemaphorePermit) -> Arc<LeasedMessage> {
        let lease = Mutex::new(MessageLease { receipt: received.receipt.clone(), until: asked + VISIBILITY_TIMEOUT });
        let (id, queue, request) = (received.id.clone(), self.queue.clone(), tokio::sync::Mutex::default());
        let held = Arc::new(LeasedMessage { id, queue, lease, request, _room: room });
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&held));
        held
    }

    /// Waits until no message is in flight.
    pub(super) async fn wait_empty(&self) {
        // It is never closed.
        let _ = self.permits.acquire_many(MAX_INFLIGHT as u32).await;
    }

    fn upgrade_all(&self) -> Vec<Arc<LeasedMessage>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| held.strong_count() > 0);
        held.iter().filter_map(Weak::upgrade).collect()
    }
}

impl LeasedMessage {
    /// Returns whether others may see the message again: then it is theirs. Never waits for a request about it.
    pub(super) fn is_lease_expired(&self) -> bool {
        self.lease().until <= Instant::now()
    }

    /// Deletes it, once a renewal that is under way has ended.
    pub(super) async fn delete(&self) -> Result<(), QueueError> {
        let _request = self.request.lock().await;
        let receipt = self.lease().receipt.clone();
        with_timeout(self.queue.delete(&self.id, &receipt)).await
    }

    /// Hides it for longer, if that is due and no other request about it is under way.
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

    /// Returns whether it has to be hidden for longer, and no request about it is under way.
    fn is_due(&self) -> bool {
        let (until, now) = (self.lease().until, Instant::now());
        now < until && until <= now + RENEW_BEFORE && self.request.try_lock().is_ok()
    }

    fn lease(&self) -> MutexGuard<'_, MessageLease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn with_timeout<T>(request: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::Unreachable("no answer in time".to_owned()));
    timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late)
}

/// Extends visibility timeouts, for ever and concurrently.
pub(super) async fn renew_leases(consumer: Arc<Consumer>) {
    const OPERATION: &str = "keeping messages hidden";
    let mut checks = interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewals = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = checks.tick() => {
                renewals.extend(consumer.inflight.upgrade_all().into_iter().filter(|held| held.is_due()).map(LeasedMessage::renew));
            }
            Some(renewed) = renewals.next() => match renewed {
                Ok(()) => consumer.error_log.record_success(OPERATION),
                Err(error) => consumer.error_log.record_error(OPERATION, &error),
            },
        }
    }
}
