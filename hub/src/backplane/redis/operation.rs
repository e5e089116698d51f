//! The operations in Redis, in one order: publishes, lookups of missed pushes, and records of what devices have received.
//!
//! The order is what makes catch-up right: a client that joins after a push was delivered here looks up what it missed behind
//! the record of that push, also while Redis is slow or unreachable. Pushes are delivered to the reactors and queued under one lock, so
//! no lookup of a client that came after a delivery can be queued before its record.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use super::publish_buffer::PublishPermit;
use crate::catch_up::Timestamp;
use crate::delivery::Audience;
use crate::notification::Device;
use crate::observability::Metrics;
use crate::reactor::{MissedQuery, Recipient};

/// The most lookups and records that may wait. Beyond, lookups are answered as unknown, and records are dropped.
const MAX_QUEUED_RECORDS: usize = 65_536;

/// An operation in Redis.
pub(super) enum RedisOperation {
    /// Publish a push.
    Publish(Publish),
    /// Look up what a client missed. Dropping the query answers it as unknown.
    Lookup {
        recipient: Recipient,
        query: MissedQuery,
        /// Its share of [`MAX_QUEUED_RECORDS`].
        _permit: OwnedSemaphorePermit,
    },
    /// Note up to when a device of a user has surely received every push.
    Received {
        user: Uuid,
        device: Device,
        until: Timestamp,
        /// Its share of [`MAX_QUEUED_RECORDS`].
        _permit: OwnedSemaphorePermit,
    },
}

/// A push to publish.
pub(super) struct Publish {
    /// The channel.
    pub(super) channel: String,
    /// The message.
    pub(super) bytes: Vec<u8>,
    /// What of it is kept.
    pub(super) store_mode: StoreMode,
    /// When it was accepted.
    pub(super) since: Instant,
    /// Told once Redis has acknowledged it.
    pub(super) done: oneshot::Sender<()>,
    /// Its share of the bound on pushes that Redis has not acknowledged.
    pub(super) _permit: PublishPermit,
}

/// What is stored of a push in Redis, for clients that are not connected.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoreMode {
    /// Nothing.
    None,
    /// Its time, and the device that caused it.
    PushTime(Audience, Option<Device>),
    /// All of it, as the response to a login request.
    LoginResponse(Uuid),
}

/// The sending side of the queue of operations. Used by every thread that publishes, and by the subscriber.
#[derive(Clone)]
pub(super) struct OperationQueue {
    operations: Arc<Mutex<UnboundedSender<RedisOperation>>>,
    records: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// Creates a queue of operations.
pub(super) fn queue(metrics: Arc<Metrics>) -> (OperationQueue, UnboundedReceiver<RedisOperation>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (operations, records) = (Arc::new(Mutex::new(sender)), Arc::new(Semaphore::new(MAX_QUEUED_RECORDS)));
    (OperationQueue { operations, records, metrics }, receiver)
}

impl OperationQueue {
    /// Queues a push after it was sent to the reactors, so that it is in their command queues before Redis publishes it.
    /// Returns what `deliver` does.
    pub(super) fn publish<T>(&self, deliver: impl FnOnce() -> T, publish: Publish) -> T {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let delivered = deliver();
        // The publisher ends only after this side is gone.
        let _ = operations.send(RedisOperation::Publish(publish));
        delivered
    }

    /// Queues a lookup. If there is no room the query is dropped, which answers it as unknown.
    pub(super) fn look_up(&self, recipient: Recipient, query: MissedQuery) {
        self.add(|_permit| RedisOperation::Lookup { recipient, query, _permit });
    }

    /// Queues a record of what a device has received. Dropped if there is no room.
    pub(super) fn record_received(&self, user: Uuid, device: Device, until: Timestamp) {
        self.add(|_permit| RedisOperation::Received { user, device, until, _permit });
    }

    fn add(&self, operation: impl FnOnce(OwnedSemaphorePermit) -> RedisOperation) {
        match self.records.clone().try_acquire_owned() {
            Ok(permit) => {
                let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = operations.send(operation(permit));
            }
            Err(_) => self.metrics.catch_up_dropped.inc(),
        }
    }
}
