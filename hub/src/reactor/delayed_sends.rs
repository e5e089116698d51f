//! Frames to send to single connections after a delay, ordered by due tick. No I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use crate::catch_up::{SyncReason, Timestamp};
use crate::connection::{ConnectionId, Tick};
use crate::delivery::Delivery;

/// A frame to send.
#[derive(Debug, Clone)]
pub(super) enum DelayedSend {
    /// A `SyncVault`, to a client that missed pushes up to a moment.
    Sync(SyncReason, Timestamp),
    /// The answer to a login request that came before its client.
    LoginResponse(Arc<Delivery>),
}

/// All of one reactor's: at most one for each slot, as a connection waits for one frame at most.
#[derive(Default)]
pub(super) struct DelayedSends {
    by_slot: HashMap<u32, ScheduledSend>,
    due: BTreeSet<(Tick, u32)>,
}

struct ScheduledSend {
    due: Tick,
    id: ConnectionId,
    send: DelayedSend,
}

impl DelayedSends {
    /// Adds a frame to send to a connection when a tick begins, in the place of one for its slot that is not sent yet.
    pub(super) fn add(&mut self, due: Tick, id: ConnectionId, send: DelayedSend) {
        if let Some(replaced) = self.by_slot.insert(id.slot, ScheduledSend { due, id, send }) {
            self.due.remove(&(replaced.due, id.slot));
        }
        self.due.insert((due, id.slot));
    }

    /// Forgets what was to be sent to a connection that has gone.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        if let Some(entry) = self.by_slot.remove(&id.slot) {
            self.due.remove(&(entry.due, id.slot));
        }
    }

    /// Returns when the next one is due.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Takes what is due by now, in order.
    pub(super) fn take_due(&mut self, now: Tick) -> Vec<(ConnectionId, DelayedSend)> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first().copied().filter(|(due, _)| *due <= now) {
            self.due.remove(&first);
            taken.extend(self.by_slot.remove(&first.1).map(|entry| (entry.id, entry.send)));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn take_returns_due_sends_in_order() {
        let mut sends = DelayedSends::default();
        for (due, slot) in [(5, 1), (3, 2), (5, 3)] {
            let sync = DelayedSend::Sync(SyncReason::Missed, Timestamp::default());
            sends.add(Tick(due), ConnectionId { slot, generation: 0 }, sync);
        }
        let mut slots = |now| sends.take_due(Tick(now)).into_iter().map(|(id, _)| id.slot).collect::<Vec<_>>();
        assert_eq!((slots(2), slots(4), slots(9)), (vec![], vec![2], vec![1, 3]));
        assert_eq!(sends.next_due(), None);
    }

    #[test]
    fn reused_slot_leaves_no_stale_entries() {
        let mut sends = DelayedSends::default();
        for generation in 0..1000 {
            let id = ConnectionId { slot: 1, generation };
            sends.add(Tick(generation), id, DelayedSend::Sync(SyncReason::Missed, Timestamp::default()));
        }
        assert_eq!((sends.by_slot.len(), sends.due.len()), (1, 1));
        sends.remove(ConnectionId { slot: 1, generation: 999 });
        assert_eq!((sends.by_slot.len(), sends.due.len(), sends.next_due()), (0, 0, None));
    }
}
