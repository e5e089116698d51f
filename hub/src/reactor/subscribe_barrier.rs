//! Connections whose handshake is answered once the backplane has subscribed to their pushes, or after a second. No I/O.

use std::collections::VecDeque;

use foldhash::HashSet;

use crate::connection::{ConnectionId, Tick};

/// The connections that wait.
#[derive(Default)]
pub(super) struct SubscribeBarrier {
    waiting: HashSet<ConnectionId>,
    /// In the order of their deadlines: all wait equally long. One that does not wait any more is skipped.
    deadlines: VecDeque<(Tick, ConnectionId)>,
}

impl SubscribeBarrier {
    /// Has a connection wait until a deadline, which is not before the last one's.
    pub(super) fn add(&mut self, id: ConnectionId, deadline: Tick) {
        self.waiting.insert(id);
        self.deadlines.push_back((deadline, id));
    }

    /// Returns whether a connection waits.
    pub(super) fn holds(&self, id: ConnectionId) -> bool {
        !self.waiting.is_empty() && self.waiting.contains(&id)
    }

    /// Has a connection wait no more. Returns `false` if it does not.
    pub(super) fn release(&mut self, id: ConnectionId) -> bool {
        !self.waiting.is_empty() && self.waiting.remove(&id)
    }

    /// Releases and returns the next connection whose deadline has passed.
    pub(super) fn expired(&mut self, now: Tick) -> Option<ConnectionId> {
        while self.deadlines.front().is_some_and(|(deadline, id)| *deadline <= now || !self.waiting.contains(id)) {
            let (_, id) = self.deadlines.pop_front()?;
            if self.release(id) {
                return Some(id);
            }
        }
        None
    }

    /// Returns the next deadline.
    pub(super) fn next(&self) -> Option<Tick> {
        self.deadlines.front().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_or_expiry_returns_each_connection_once() {
        let (first, second) = (ConnectionId { slot: 1, generation: 1 }, ConnectionId { slot: 2, generation: 2 });
        let mut barrier = SubscribeBarrier::default();
        barrier.add(first, Tick(5));
        barrier.add(second, Tick(6));
        assert!(barrier.holds(first) && barrier.holds(second));
        assert!(barrier.release(first) && !barrier.release(first) && !barrier.holds(first));
        assert_eq!((barrier.expired(Tick(5)), barrier.next()), (None, Some(Tick(6))));
        assert_eq!((barrier.expired(Tick(6)), barrier.expired(Tick(9)), barrier.next()), (Some(second), None, None));
        assert!(!barrier.release(second));
    }

    #[test]
    fn reused_slot_needs_release_of_its_own_generation() {
        let (old, new) = (ConnectionId { slot: 1, generation: 1 }, ConnectionId { slot: 1, generation: 2 });
        let mut barrier = SubscribeBarrier::default();
        barrier.add(old, Tick(5));
        barrier.release(old);
        barrier.add(new, Tick(7));
        assert!(!barrier.release(old) && barrier.holds(new));
        assert_eq!((barrier.expired(Tick(6)), barrier.expired(Tick(7))), (None, Some(new)));
    }
}
