//! How much may wait for Redis: so many pushes, and so many bytes of them. No I/O.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The room for pushes that Redis has not acknowledged.
pub(super) struct Room {
    pushes: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    capacity: usize,
}

/// What one push takes of the room, until it is dropped.
pub(super) struct Place {
    _push: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl Room {
    /// Room for so many pushes with so many bytes together, which may be up to 4 GiB.
    pub(super) fn new(pushes: usize, bytes: usize) -> Room {
        Room { pushes: Arc::new(Semaphore::new(pushes)), bytes: Arc::new(Semaphore::new(bytes)), capacity: pushes }
    }

    /// Takes the place of a push with so many bytes, or `None` if there is no room.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Place> {
        let push = self.pushes.clone().try_acquire_owned().ok()?;
        let bytes = self.bytes.clone().try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()?;
        Some(Place { _push: push, _bytes: bytes })
    }

    /// Returns how many pushes wait.
    pub(super) fn taken(&self) -> usize {
        self.capacity - self.pushes.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_limited_by_pushes_and_by_bytes() {
        let room = Room::new(2, 100);
        let large = room.try_take(90).expect("room");
        assert!(room.try_take(11).is_none());
        assert_eq!(room.taken(), 1, "a push that does not fit takes nothing");
        let small = room.try_take(10).expect("room");
        assert!(room.try_take(0).is_none());
        drop((large, small));
        assert!(room.taken() == 0 && room.try_take(100).is_some());
    }
}
