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
pub(super) const ROOM: usize = 256;

/// How many are asked for at once: as many as the service gives.
pub(super) const BATCH: usize = 32;

/// For how long a message is hidden from others: after a crash, others wait for so long.
pub(super) const HIDDEN: Duration = Duration::from_secs(30);

/// How long before it would be seen again a message is hidden anew.
const RENEWAL: Duration = Duration::from_secs(15);

/// How often it is looked which messages need that.
const LOOK: Duration = Duration::from_secs(1);

/// How long one request about a message may take: a renewal that hangs is made again before the message is seen.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// The messages in hand.
pub(super) struct Hand {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    held: Mutex<Vec<Weak<Held>>>,
}

/// A message in hand.
pub(super) struct Held {
    /// Its id.
    pub(super) id: String,
    queue: Arc<Queue>,
    lease: Mutex<Lease>,
    /// Held during a request about the message: a receipt is good for one.
    request: tokio::sync::Mutex<()>,
    _room: OwnedSemaphorePermit,
}

/// The right to delete a message, and how long it is good for at least.
struct Lease {
    receipt: String,
    until: Instant,
}

impl Hand {
    /// An empty hand.
    pub(super) fn new(queue: Arc<Queue>) -> Hand {
        Hand { queue, room: Arc::new(Semaphore::new(ROOM)), held: Mutex::default() }
    }

    /// Waits until there is room for a batch; nothing if there will never be any.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_many_owned(BATCH as u32).await.ok()
    }

    /// How many messages are in hand.
    pub(super) fn len(&self) -> usize {
        ROOM - self.room.available_permits()
    }

    /// Takes a message that was asked for at a time.
    pub(super) fn take(&self, received: &Received, asked: Instant, room: OwnedSemaphorePermit) -> Arc<Held> {
        let lease = Mutex::new(Lease { receipt: received.receipt.clone(), until: asked + HIDDEN });
        let (id, queue, request) = (received.id.clone(), self.queue.clone(), tokio::sync::Mutex::default());
        let held = Arc::new(Held { id, queue, lease, request, _room: room });
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&held));
        held
    }

    /// Waits until nothing is in hand.
    pub(super) async fn emptied(&self) {
        // It is never closed.
        let _ = self.room.acquire_many(ROOM as u32).await;
    }

    fn all(&self) -> Vec<Arc<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|held| held.strong_count() > 0);
        held.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Held {
    /// Returns whether others may see the message again: then it is theirs. Never waits for a request about it.
    pub(super) fn is_lost(&self) -> bool {
        self.lease().until <= Instant::now()
    }

    /// Deletes it, once a renewal that is under way has ended.
    pub(super) async fn delete(&self) -> Result<(), QueueError> {
        let _request = self.request.lock().await;
        let receipt = self.lease().receipt.clone();
        in_time(self.queue.delete(&self.id, &receipt)).await
    }

    /// Hides it for longer, if that is due and no other request about it is under way.
    async fn renew(self: Arc<Self>) -> Result<(), QueueError> {
        let Ok(_request) = self.request.try_lock() else { return Ok(()) };
        let (receipt, now) = (self.lease().receipt.clone(), Instant::now());
        match in_time(self.queue.hide(&self.id, &receipt, HIDDEN)).await {
            Ok(receipt) => *self.lease() = Lease { receipt, until: now + HIDDEN },
            Err(QueueError::Lost { .. }) => self.lease().until = now,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns whether it has to be hidden for longer, and no request about it is under way.
    fn is_due(&self) -> bool {
        let (until, now) = (self.lease().until, Instant::now());
        now < until && until <= now + RENEWAL && self.request.try_lock().is_ok()
    }

    fn lease(&self) -> MutexGuard<'_, Lease> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(request: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::Unreachable("no answer in time".to_owned()));
    timeout(REQUEST_TIMEOUT, request).await.unwrap_or_else(late)
}

/// Keeps the messages in hand hidden, for ever. None waits for the renewal of another.
pub(super) async fn keep(consumer: Arc<Consumer>) {
    const DOING: &str = "keeping messages hidden";
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewals = FuturesUnordered::new();
    loop {
        tokio::select! {
            _ = looks.tick() => {
                renewals.extend(consumer.hand.all().into_iter().filter(|held| held.is_due()).map(Held::renew));
            }
            Some(renewed) = renewals.next() => match renewed {
                Ok(()) => consumer.faults.works(DOING),
                Err(error) => consumer.faults.failed(DOING, &error),
            },
        }
    }
}
