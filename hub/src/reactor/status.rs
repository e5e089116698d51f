//! The status of each reactor, which other threads and the other reactors read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The status of one reactor. In a cache line of its own: the reactor writes it each turn.
#[derive(Default)]
#[repr(align(64))]
struct Status {
    /// Milliseconds from the start to the last turn of its loop.
    last_turn_ms: AtomicU64,
    /// How many sockets it holds, in any state.
    sockets: AtomicUsize,
    /// How many of them are open connections.
    connections: AtomicUsize,
    /// Whether it has closed all of its connections.
    drained: AtomicBool,
}

/// The status of every reactor, by number.
#[derive(Clone)]
pub(super) struct Statuses(Arc<[Status]>);

/// The status of the reactor that owns it, which alone writes it, beside those of the others.
#[derive(Clone)]
pub(super) struct OwnStatus {
    /// The number of the reactor.
    pub(super) number: usize,
    all: Statuses,
}

impl Statuses {
    /// Creates the statuses of so many reactors.
    pub(super) fn new(reactors: usize) -> Statuses {
        Statuses((0..reactors).map(|_| Status::default()).collect())
    }

    /// Returns the status for the reactor of this number to write.
    pub(super) fn of(&self, number: usize) -> OwnStatus {
        OwnStatus { number, all: self.clone() }
    }

    /// Returns the times from the start to the last turn of each reactor.
    pub(super) fn last_turns(&self) -> impl Iterator<Item = Duration> {
        self.0.iter().map(|status| Duration::from_millis(status.last_turn_ms.load(Ordering::Relaxed)))
    }

    /// Returns how many sockets are open, in any state.
    pub(super) fn sockets(&self) -> usize {
        self.0.iter().map(|status| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// Returns how many of the sockets are open connections.
    pub(super) fn connections(&self) -> usize {
        self.0.iter().map(|status| status.connections.load(Ordering::Relaxed)).sum()
    }

    /// Returns whether every reactor has closed all of its connections.
    pub(super) fn are_drained(&self) -> bool {
        self.0.iter().all(|status| status.drained.load(Ordering::Relaxed))
    }
}

impl OwnStatus {
    /// Counts a connection that was opened. Published at once, as the limit of all connections counts them.
    pub(super) fn add_connection(&self) {
        let connections = &self.own().connections;
        connections.store(connections.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Counts a connection that was closed.
    pub(super) fn remove_connection(&self) {
        let connections = &self.own().connections;
        connections.store(connections.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }

    /// Publishes the end of a turn of the loop: its time since the start, the open sockets, and whether a drain is complete.
    pub(super) fn set_turn(&self, since_start: Duration, sockets: usize, is_drained: bool) {
        let status = self.own();
        status.last_turn_ms.store(since_start.as_millis() as u64, Ordering::Relaxed);
        status.sockets.store(sockets, Ordering::Relaxed);
        status.drained.store(is_drained, Ordering::Relaxed);
    }

    /// Returns how many sockets the other reactors hold.
    pub(super) fn peer_sockets(&self) -> usize {
        let peers = self.all.0.iter().enumerate().filter(|(number, _)| *number != self.number);
        peers.map(|(_, status)| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// Returns how many open connections all reactors hold.
    pub(super) fn connections(&self) -> usize {
        self.all.connections()
    }

    fn own(&self) -> &Status {
        &self.all.0[self.number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peer_sockets_leaves_out_the_own_ones() {
        let all = Statuses::new(2);
        all.of(0).set_turn(Duration::from_millis(7), 3, true);
        all.of(1).set_turn(Duration::from_millis(9), 5, false);
        (0..3).for_each(|_| all.of(1).add_connection());
        all.of(1).remove_connection();
        assert_eq!((all.of(0).peer_sockets(), all.of(1).peer_sockets(), all.sockets()), (5, 3, 8));
        assert_eq!((all.of(0).connections(), all.are_drained()), (2, false));
        assert_eq!(all.last_turns().collect::<Vec<_>>(), [7, 9].map(Duration::from_millis));
    }
}
