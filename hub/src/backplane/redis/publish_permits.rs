//! Bounds the publishes that Redis has not acknowledged, by number and by bytes: each has a permit. The publishes themselves wait
//! in the queue of the `publisher`, also during an outage. No I/O.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds the publishes that Redis has not acknowledged.
pub(super) struct PublishPermits {
    pushes: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    capacity: usize,
}

/// The share of one publish. Released on drop.
pub(super) struct PublishPermit {
    _push: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl PublishPermits {
    /// Creates permits for `pushes` pushes of `bytes` bytes together. A single push may have at most 4 GiB.
    pub(super) fn new(pushes: usize, bytes: usize) -> PublishPermits {
        PublishPermits {
            pushes: Arc::new(Semaphore::new(pushes)),
            bytes: Arc::new(Semaphore::new(bytes)),
            capacity: pushes,
        }
    }

    /// Acquires the share of a push with `bytes` bytes, or returns `None` if there is no room.
    pub(super) fn try_acquire(&self, bytes: usize) -> Option<PublishPermit> {
        let push = self.pushes.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(PublishPermit { _push: push, _bytes: bytes })
    }

    /// Returns the number of publishes that Redis has not acknowledged.
    pub(super) fn pending(&self) -> usize {
        self.capacity - self.pushes.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_permits_are_limited_by_pushes_and_by_bytes() {
        let buffer = PublishPermits::new(2, 100);
        let large = buffer.try_acquire(90).expect("room");
        assert!(buffer.try_acquire(11).is_none());
        assert_eq!(buffer.pending(), 1, "a push that does not fit takes nothing");
        let small = buffer.try_acquire(10).expect("room");
        assert!(buffer.try_acquire(0).is_none());
        drop((large, small));
        assert!(buffer.pending() == 0 && buffer.try_acquire(100).is_some());
    }
}
