//! The messages in hand: received and not deleted yet. They are hidden from other hubs for as long as that takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::consumer::Consumer;
use crate::azure::{Queue, QueueError, Received};

/// How many messages may be in hand.
pub(super) const MAX_INFLIGHT: usize = 256;

/// How many are asked for at once: as many as the service gives.
pub(super) const MAX_RECEIVE_BATCH: usize = 32;

/// For how long a message is hidden from others: after a crash, others wait for so long.
pub(super) const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long before it would be seen again a message is hidden anew.
const RENEW_BEFORE: Duration = Duration::from_secs(15);

/// How often it is looked which messages need that.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long one request about a message may take: a renewal that hangs is made again before the message is seen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The messages in hand.
pub(super) struct InflightMessages {
    queue: Arc<Queue>,
    permits: Arc<Semaphore>,
    held: Mutex<Vec<Weak<LeasedMessage>>>,
}

/// A message in hand.
pub(super) struct LeasedMessage {
    /// Its id.
    pub(super) id: String,
    queue: Arc<Queue>,
    lease: Mutex<MessageLease>,
    /// Held during a request about the message: a receipt is good for one.
    request: tokio::sync::Mutex<()>,
    _room: OwnedSemaphorePermit,
}

/// The right to delete a message, and how long it is good for at least.
struct MessageLease {
    receipt: String,
    until: Instant,
}

impl InflightMessages {
    /// An empty hand.
    pub(super) fn new(queue: Arc<Queue>) -> InflightMessages {
        InflightMessages { queue, permits: Arc::new(Semaphore::new(MAX_INFLIGHT)), held: Mutex::default() }
    }

    /// Waits until there is room for a batch; nothing if there will never be any.
    pub(super) async fn reserve_batch(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_many_owned(MAX_RECEIVE_BATCH as u32).await.ok()
    }

    /// How many messages are in hand.
    pub(super) fn len(&self) -> usize {
        MAX_INFLIGHT - self.permits.available_permits()
    }

    /// Takes a message that was asked for at a time.
    pub(super) fn track(&self, received: &Received, asked: Instant, room: OwnedSemaphorePermit) -> Arc<LeasedMessage> {
        let lease = Mutex::new(MessageLease { receipt: received.receipt.clone(), until: asked + VISIBILITY_TIMEOUT });
        let (id, queue, request) = (received.id.clone(), self.queue.clone(), tokio::sync::Mutex::default());
        let held = Arc::new(LeasedMessage { id, queue, lease, request, _room: room });
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&held));
        held
    }

    /// Waits until nothing is in hand.
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

/// Keeps the messages in hand hidden, for ever. None waits for the renewal of another.
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
