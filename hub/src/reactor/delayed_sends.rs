//! Frames to send to single connections after a delay, ordered by due tick. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catch_up::{Moment, Reason};
use crate::connection::{ConnectionId, Tick};
use crate::delivery::Delivery;

/// A frame to send.
#[derive(Debug, Clone)]
pub(super) enum DelayedSend {
    /// A `SyncVault`, to a client that missed pushes up to a moment.
    Sync(Reason, Moment),
    /// The answer to a login request that came before its client.
    LoginResponse(Arc<Delivery>),
}

/// All of one reactor's.
#[derive(Default)]
pub(super) struct DelayedSends {
    due: BTreeMap<Tick, Vec<(ConnectionId, DelayedSend)>>,
}

impl DelayedSends {
    /// Adds a frame to send to a connection when a tick begins.
    pub(super) fn add(&mut self, due: Tick, id: ConnectionId, send: DelayedSend) {
        self.due.entry(due).or_default().push((id, send));
    }

    /// Returns when the next one is due.
    pub(super) fn next(&self) -> Option<Tick> {
        self.due.first_key_value().map(|(due, _)| *due)
    }

    /// Takes what is due by now, in order.
    pub(super) fn take(&mut self, now: Tick) -> Vec<(ConnectionId, DelayedSend)> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= now) {
            taken.extend(first.remove());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_returns_what_is_due_in_order() {
        let mut sends = DelayedSends::default();
        for (due, slot) in [(5, 1), (3, 2), (5, 3)] {
            let sync = DelayedSend::Sync(Reason::Missed, Moment::default());
            sends.add(Tick(due), ConnectionId { slot, generation: 0 }, sync);
        }
        let mut slots = |now| sends.take(Tick(now)).into_iter().map(|(id, _)| id.slot).collect::<Vec<_>>();
        assert_eq!((slots(2), slots(4), slots(9)), (vec![], vec![2], vec![1, 3]));
        assert_eq!(sends.next(), None);
    }
}
