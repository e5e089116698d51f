//! The queue of operations in Redis: publishes, missed-push lookups, and records of the progress of devices.
//!
//! Catch-up depends on the order of the queue. A client may join after a push was delivered on this replica. Its lookup then
//! stands behind the publish, which records the push, even while Redis is slow. Therefore one lock covers both the delivery to
//! the reactors and the queueing of the publish.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use uuid::Uuid;

use super::publish_permits::PublishPermit;
use crate::catch_up::Timestamp;
use crate::delivery::Audience;
use crate::notification::Device;
use crate::observability::Metrics;
use crate::reactor::{MissedQuery, Recipient};

/// The most queued lookups and records. Further lookups result in "unknown", and further records are dropped.
const MAX_QUEUED_RECORDS: usize = 65_536;

/// An operation in Redis.
pub(super) enum RedisOperation {
    /// Publish a push.
    Publish(Publish),
    /// Look up what a client missed. Dropping the query results in "unknown".
    Lookup {
        recipient: Recipient,
        query: MissedQuery,
        /// The operation's share of [`MAX_QUEUED_RECORDS`].
        _permit: OwnedSemaphorePermit,
    },
    /// Record the time up to which a device of a user has received every push.
    Received {
        user: Uuid,
        device: Device,
        until: Timestamp,
        /// The operation's share of [`MAX_QUEUED_RECORDS`].
        _permit: OwnedSemaphorePermit,
    },
}

/// A push to publish.
pub(super) struct Publish {
    /// The channel.
    pub(super) channel: String,
    /// The message.
    pub(super) bytes: Vec<u8>,
    /// The part of the push that is stored.
    pub(super) store_mode: StoreMode,
    /// The time at which it was accepted.
    pub(super) since: Instant,
    /// Notified when Redis has acknowledged it.
    pub(super) done: oneshot::Sender<()>,
    /// Its share of the publish buffer.
    pub(super) _permit: PublishPermit,
}

/// The part of a push that is stored in Redis, for clients that are not connected.
#[derive(Debug, Clone, Copy)]
pub(super) enum StoreMode {
    /// Nothing.
    None,
    /// The time, and the device that caused the push.
    PushTime(Audience, Option<Device>),
    /// The whole message, as the response to a login request.
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
    /// Calls `deliver`, then queues the publish, so that the push is in the reactors' command queues before Redis publishes it.
    /// Returns the result of `deliver`.
    pub(super) fn publish<T>(&self, deliver: impl FnOnce() -> T, publish: Publish) -> T {
        let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        let delivered = deliver();
        // It cannot fail, because the publisher ends only after all senders are dropped.
        let _ = operations.send(RedisOperation::Publish(publish));
        delivered
    }

    /// Queues a lookup. Drops the query if there is no room, which results in "unknown".
    pub(super) fn look_up(&self, recipient: Recipient, query: MissedQuery) {
        self.add(|_permit| RedisOperation::Lookup { recipient, query, _permit });
    }

    /// Queues a record of the progress of a device. Drops it if there is no room.
    pub(super) fn record_received(&self, user: Uuid, device: Device, until: Timestamp) {
        self.add(|_permit| RedisOperation::Received { user, device, until, _permit });
    }

    fn add(&self, operation: impl FnOnce(OwnedSemaphorePermit) -> RedisOperation) {
        match self.records.clone().try_acquire_owned() {
            Ok(permit) => {
                let operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = operations.send(operation(permit));
            }
            Err(_) => self.metrics.catch_up_records_dropped.inc(),
        }
    }
}
