//! The messages in hand: received and not deleted yet. They are hidden from other hubs for as long as that takes.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior, interval};

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

/// The messages in hand.
pub(super) struct Hand {
    queue: Arc<Queue>,
    room: Arc<Semaphore>,
    held: std::sync::Mutex<Vec<Weak<Held>>>,
}

/// A message in hand.
pub(super) struct Held {
    /// Its id.
    pub(super) id: String,
    queue: Arc<Queue>,
    lease: Mutex<Lease>,
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
        Hand { queue, room: Arc::new(Semaphore::new(ROOM)), held: std::sync::Mutex::default() }
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
        let held = Arc::new(Held { id: received.id.clone(), queue: self.queue.clone(), lease, _room: room });
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
    /// Whether others may see it again: then it is theirs.
    pub(super) async fn lost(&self) -> bool {
        self.lease.lock().await.until <= Instant::now()
    }

    /// Deletes it.
    pub(super) async fn delete(&self) -> Result<(), QueueError> {
        let lease = self.lease.lock().await;
        self.queue.delete(&self.id, &lease.receipt).await
    }

    /// Hides it for longer, if that is due and it is not being deleted.
    async fn renew(&self) -> Result<(), QueueError> {
        let Ok(mut lease) = self.lease.try_lock() else { return Ok(()) };
        let now = Instant::now();
        if lease.until > now + RENEWAL || lease.until <= now {
            return Ok(());
        }
        match self.queue.hide(&self.id, &lease.receipt, HIDDEN).await {
            Ok(receipt) => *lease = Lease { receipt, until: now + HIDDEN },
            Err(QueueError::Lost { .. }) => lease.until = now,
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Keeps the messages in hand hidden, for ever.
pub(super) async fn keep(consumer: Arc<Consumer>) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let held = consumer.hand.all();
        for result in join_all(held.iter().map(|held| held.renew())).await {
            if let Err(error) = result {
                consumer.faults.failed("keeping messages hidden", &error);
            }
        }
    }
}
