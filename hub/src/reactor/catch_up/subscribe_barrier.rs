//! Holds back handshake responses until the backplane has subscribed to the client's channels, or a timeout. No I/O.

use std::collections::VecDeque;

use foldhash::HashSet;

use crate::signalr::{ConnectionId, Tick};

/// The connections whose handshake response is held back.
#[derive(Default)]
pub(crate) struct SubscribeBarrier {
    blocked: HashSet<ConnectionId>,
    /// Ordered by deadline, as all have the same timeout. Entries of released connections are skipped.
    deadlines: VecDeque<(Tick, ConnectionId)>,
}

impl SubscribeBarrier {
    /// Blocks a connection until a deadline, which must not be before the last one's.
    pub(crate) fn block(&mut self, id: ConnectionId, deadline: Tick) {
        self.blocked.insert(id);
        self.deadlines.push_back((deadline, id));
    }

    /// Returns whether a connection is blocked.
    pub(crate) fn is_blocked(&self, id: ConnectionId) -> bool {
        !self.blocked.is_empty() && self.blocked.contains(&id)
    }

    /// Releases a connection. Returns `false` if it was not blocked.
    pub(crate) fn release(&mut self, id: ConnectionId) -> bool {
        !self.blocked.is_empty() && self.blocked.remove(&id)
    }

    /// Releases and returns the next connection whose deadline has passed.
    pub(crate) fn pop_expired(&mut self, now: Tick) -> Option<ConnectionId> {
        while self.deadlines.front().is_some_and(|(deadline, id)| *deadline <= now || !self.blocked.contains(id)) {
            let (_, id) = self.deadlines.pop_front()?;
            if self.release(id) {
                return Some(id);
            }
        }
        None
    }

    /// Returns the next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Tick> {
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
        barrier.block(first, Tick(5));
        barrier.block(second, Tick(6));
        assert!(barrier.is_blocked(first) && barrier.is_blocked(second));
        assert!(barrier.release(first) && !barrier.release(first) && !barrier.is_blocked(first));
        assert_eq!((barrier.pop_expired(Tick(5)), barrier.next_deadline()), (None, Some(Tick(6))));
        assert_eq!(
            (barrier.pop_expired(Tick(6)), barrier.pop_expired(Tick(9)), barrier.next_deadline()),
            (Some(second), None, None)
        );
        assert!(!barrier.release(second));
    }

    #[test]
    fn reused_slot_needs_release_of_its_own_generation() {
        let (old, new) = (ConnectionId { slot: 1, generation: 1 }, ConnectionId { slot: 1, generation: 2 });
        let mut barrier = SubscribeBarrier::default();
        barrier.block(old, Tick(5));
        barrier.release(old);
        barrier.block(new, Tick(7));
        assert!(!barrier.release(old) && barrier.is_blocked(new));
        assert_eq!((barrier.pop_expired(Tick(6)), barrier.pop_expired(Tick(7))), (None, Some(new)));
    }
}
