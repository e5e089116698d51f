//! Tracks, per connection, a missed-push lookup, a `SyncVault` and a write backlog. No I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use foldhash::HashMap;

use super::{SyncReason, Timestamp};
use crate::signalr::{ConnectionId, Tick};

/// How far a `SyncVault` for a connection has come. Small: after a start every connection has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SyncProgress {
    /// What the client missed is being looked up.
    LookupPending,
    /// It is to be sent at `due`, and will cover every push up to `until`.
    Pending { due: Tick, reason: SyncReason, until: Timestamp },
    /// It was handed to the socket at `written`; once it is received, it covers every push up to `until`.
    Sent { written: Tick, until: Timestamp },
}

/// Frames that did not fit into a socket at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WriteBacklog {
    /// When the first of them had to wait.
    since: Tick,
    /// When the last one had been written; `None` as long as some wait.
    drained: Option<Tick>,
}

/// Tracks the connections of one reactor for which a `SyncVault` is scheduled or was sent, or whose sockets were full. Most
/// connections have no entry.
#[derive(Debug, Default)]
pub(super) struct SyncTracker {
    syncs: HashMap<ConnectionId, SyncProgress>,
    backlogs: HashMap<ConnectionId, WriteBacklog>,
    /// The pending syncs, the one that is due first on top. Entries of syncs that are no longer pending are skipped.
    due: BinaryHeap<Reverse<(Tick, ConnectionId)>>,
    /// How many entries of `due` are of syncs that are no longer pending.
    stale: usize,
    /// When to look whether a connection's entries can be dropped. All wait equally long.
    checks: VecDeque<(Tick, ConnectionId)>,
}

/// What is proven of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncState {
    /// A lookup or a sync is pending: nothing is proven beyond what was known before the connection.
    Pending,
    /// The client has surely received every push that had been written by a tick, `None` if the process was younger than that;
    /// and by a sync every push up to a moment, `None` if there was no sync.
    Received { written_by: Option<Tick>, synced_until: Option<Timestamp> },
}

impl SyncTracker {
    /// Notes that what a client missed is being looked up.
    pub(super) fn on_lookup(&mut self, id: ConnectionId) {
        self.set_sync(id, SyncProgress::LookupPending);
    }

    /// Ends a lookup. Returns `false` if there is none: a sync is scheduled, or the connection is closed.
    pub(super) fn end_lookup(&mut self, id: ConnectionId) -> bool {
        let is_looking_up = self.syncs.get(&id) == Some(&SyncProgress::LookupPending);
        if is_looking_up {
            self.syncs.remove(&id);
        }
        is_looking_up
    }

    /// Schedules a sync, unless one is scheduled already.
    pub(super) fn schedule(&mut self, id: ConnectionId, reason: SyncReason, until: Timestamp, due: Tick) {
        if !matches!(self.syncs.get(&id), Some(SyncProgress::Pending { .. })) {
            self.set_sync(id, SyncProgress::Pending { due, reason, until });
            self.due.push(Reverse((due, id)));
        }
    }

    /// Returns the tick of the next sync or an earlier one, `None` if no sync is pending.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Takes the next sync that is due, which is handed to its socket now: it covers every push up to `written_until`, too. The
    /// entry is looked at again at `check`.
    pub(super) fn take_due(
        &mut self,
        now: Tick,
        written_until: Timestamp,
        check: Tick,
    ) -> Option<(ConnectionId, SyncReason)> {
        while let Some(Reverse((due, id))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.due.pop();
            if let Some(sync) = self.syncs.get_mut(&id).filter(|sync| sync.is_due_at(due))
                && let SyncProgress::Pending { reason, until, .. } = *sync
            {
                *sync = SyncProgress::Sent { written: now, until: until.max(written_until) };
                self.checks.push_back((check, id));
                return Some((id, reason));
            }
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    /// Notes that a frame for a client has to wait; the entry is looked at again at `check`.
    pub(super) fn on_backlog(&mut self, id: ConnectionId, now: Tick, check: Tick) {
        let (checks, begun) = (&mut self.checks, WriteBacklog { since: now, drained: None });
        let backlog = self.backlogs.entry(id).or_insert_with(|| {
            checks.push_back((check, id));
            begun
        });
        backlog.drained = None;
    }

    /// Notes that no frame for a client waits any more.
    pub(super) fn on_drained(&mut self, id: ConnectionId, now: Tick) {
        if let Some(backlog) = self.backlogs.get_mut(&id) {
            backlog.drained = Some(now);
        }
    }

    /// Returns what is known of a client that has received everything that was written by `written_by` at once.
    pub(super) fn sync_state(&self, id: ConnectionId, written_by: Option<Tick>) -> SyncState {
        let written_by = match self.backlogs.get(&id) {
            Some(backlog) if !backlog.is_received(written_by) => {
                written_by.min(backlog.since.0.checked_sub(1).map(Tick))
            }
            _ => written_by,
        };
        match self.syncs.get(&id) {
            None => SyncState::Received { written_by, synced_until: None },
            Some(SyncProgress::Sent { written, until }) if written_by.is_some_and(|by| by >= *written) => {
                SyncState::Received { written_by, synced_until: Some(*until) }
            }
            Some(SyncProgress::LookupPending | SyncProgress::Pending { .. } | SyncProgress::Sent { .. }) => {
                SyncState::Pending
            }
        }
    }

    /// Removes a connection that is closed.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        self.remove_sync(id);
        self.backlogs.remove(&id);
    }

    /// Returns the next connection to look at by now.
    pub(super) fn next_check(&mut self, now: Tick) -> Option<ConnectionId> {
        self.checks.front().filter(|(check, _)| *check <= now)?;
        self.checks.pop_front().map(|(_, id)| id)
    }

    /// Drops the state that is proven to be received, and checks the rest again at `check`. Returns the timestamp up to which a
    /// sync covers every push, if it was received since the last check.
    pub(super) fn check(&mut self, id: ConnectionId, written_by: Option<Tick>, check: Tick) -> Option<Timestamp> {
        let mut synced_until = None;
        if let SyncState::Received { synced_until: until @ Some(_), .. } = self.sync_state(id, written_by) {
            synced_until = until;
            self.remove_sync(id);
        }
        if self.backlogs.get(&id).is_some_and(|backlog| backlog.is_received(written_by)) {
            self.backlogs.remove(&id);
        }
        if self.backlogs.contains_key(&id) || matches!(self.syncs.get(&id), Some(SyncProgress::Sent { .. })) {
            self.checks.push_back((check, id));
        }
        synced_until
    }

    fn set_sync(&mut self, id: ConnectionId, sync: SyncProgress) {
        let replaced = self.syncs.insert(id, sync);
        self.on_removed(replaced);
    }

    fn remove_sync(&mut self, id: ConnectionId) {
        let removed = self.syncs.remove(&id);
        self.on_removed(removed);
    }

    /// Counts the entry of a pending sync as stale, and drops stale entries once they are more than three quarters of all:
    /// removing each from the heap at once would cost more than all else that a disconnect does here.
    fn on_removed(&mut self, sync: Option<SyncProgress>) {
        if !matches!(sync, Some(SyncProgress::Pending { .. })) {
            return;
        }
        self.stale += 1;
        if self.stale > self.due.len() / 4 * 3 {
            let syncs = &self.syncs;
            self.due.retain(|Reverse((due, id))| syncs.get(id).is_some_and(|sync| sync.is_due_at(*due)));
            self.due.shrink_to(2 * self.due.len());
            self.stale = 0;
        }
    }

    /// Returns why and when a sync is due for a connection, or `None` if none is scheduled.
    #[cfg(test)]
    pub(super) fn pending(&self, id: ConnectionId) -> Option<(SyncReason, Tick)> {
        match self.syncs.get(&id) {
            Some(SyncProgress::Pending { due, reason, .. }) => Some((*reason, *due)),
            _ => None,
        }
    }
}

impl SyncProgress {
    /// Returns whether it is a pending sync that is due at a tick.
    fn is_due_at(&self, tick: Tick) -> bool {
        matches!(self, SyncProgress::Pending { due, .. } if *due == tick)
    }
}

impl WriteBacklog {
    /// Whether all of it was written by a tick.
    fn is_received(self, written_by: Option<Tick>) -> bool {
        self.drained.is_some_and(|drained| written_by.is_some_and(|by| by >= drained))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId { slot: 1, generation: 7 };
    const CHECK: Tick = Tick(1000);

    fn received(written_by: u32, synced_until: Option<u64>) -> SyncState {
        SyncState::Received { written_by: Some(Tick(written_by)), synced_until: synced_until.map(Timestamp) }
    }

    /// Sends a sync that covers what was pushed until 60.
    fn send(tracker: &mut SyncTracker, now: Tick, check: Tick) {
        tracker.schedule(ID, SyncReason::Missed, Timestamp(60), now);
        assert_eq!(tracker.take_due(now, Timestamp(5), check), Some((ID, SyncReason::Missed)));
    }

    #[test]
    fn standing_untracked_connection_is_received_up_to_last_write() {
        let tracker = SyncTracker::default();
        assert_eq!(tracker.sync_state(ID, Some(Tick(5))), received(5, None));
    }

    #[test]
    fn standing_during_lookup_is_open_until_own_answer() {
        let mut tracker = SyncTracker::default();
        tracker.on_lookup(ID);
        assert_eq!(tracker.sync_state(ID, Some(Tick(5))), SyncState::Pending);
        assert!(!tracker.end_lookup(ConnectionId { generation: 8, ..ID }), "the next connection in that slot");
        assert!(tracker.end_lookup(ID) && !tracker.end_lookup(ID));
        assert_eq!(tracker.sync_state(ID, Some(Tick(5))), received(5, None));
        assert!(tracker.syncs.is_empty());
    }

    #[test]
    fn end_lookup_with_pending_sync_returns_false() {
        let mut tracker = SyncTracker::default();
        tracker.on_lookup(ID);
        tracker.schedule(ID, SyncReason::Missed, Timestamp(1), Tick(9));
        tracker.schedule(ID, SyncReason::Restart, Timestamp(1), Tick(8));
        assert_eq!(tracker.pending(ID), Some((SyncReason::Missed, Tick(9))), "the first stays");
        assert!(!tracker.end_lookup(ID));
        assert_eq!(tracker.sync_state(ID, Some(Tick(5))), SyncState::Pending);
    }

    #[test]
    fn standing_after_a_sync_is_open_until_the_sync_is_received() {
        let mut tracker = SyncTracker::default();
        send(&mut tracker, Tick(10), CHECK);
        assert_eq!(tracker.sync_state(ID, Some(Tick(9))), SyncState::Pending);
        assert_eq!(tracker.sync_state(ID, Some(Tick(10))), received(10, Some(60)));
    }

    #[test]
    fn standing_with_backlog_stays_before_it_until_received() {
        let mut tracker = SyncTracker::default();
        tracker.on_backlog(ID, Tick(10), CHECK);
        tracker.on_backlog(ID, Tick(12), CHECK);
        assert_eq!(tracker.sync_state(ID, Some(Tick(20))), received(9, None));
        tracker.on_drained(ID, Tick(30));
        assert_eq!(tracker.sync_state(ID, Some(Tick(29))), received(9, None));
        assert_eq!(tracker.sync_state(ID, Some(Tick(30))), received(30, None));
        // What waits again is behind what was not received.
        tracker.on_backlog(ID, Tick(31), CHECK);
        assert_eq!(tracker.sync_state(ID, Some(Tick(40))), received(9, None));
    }

    #[test]
    fn standing_sync_in_backlog_is_open_until_received() {
        let mut tracker = SyncTracker::default();
        tracker.on_backlog(ID, Tick(10), CHECK);
        send(&mut tracker, Tick(11), CHECK);
        assert_eq!(tracker.sync_state(ID, Some(Tick(50))), SyncState::Pending);
        tracker.on_drained(ID, Tick(40));
        assert_eq!(tracker.sync_state(ID, Some(Tick(40))), received(40, Some(60)));
    }

    #[test]
    fn settle_drops_received_entries_and_rechecks_the_rest() {
        let mut tracker = SyncTracker::default();
        send(&mut tracker, Tick(10), Tick(20));
        assert_eq!((tracker.next_check(Tick(19)), tracker.next_check(Tick(20))), (None, Some(ID)));
        assert_eq!(tracker.check(ID, Some(Tick(9)), Tick(30)), None);
        assert_eq!(tracker.next_check(Tick(30)), Some(ID));
        assert_eq!(tracker.check(ID, Some(Tick(10)), Tick(40)), Some(Timestamp(60)));
        assert_eq!(tracker.next_check(Tick(99)), None);
        assert!(tracker.syncs.is_empty() && tracker.backlogs.is_empty());
    }

    #[test]
    fn take_due_returns_pending_syncs_in_order_of_due_ticks() {
        let mut tracker = SyncTracker::default();
        let id = |slot| ConnectionId { slot, ..ID };
        for (slot, due) in [(1, 30), (2, 20), (3, 40), (4, 20)] {
            tracker.schedule(id(slot), SyncReason::Restart, Timestamp(1), Tick(due));
        }
        tracker.remove(id(4));
        assert_eq!((tracker.next_due(), tracker.take_due(Tick(19), Timestamp(2), CHECK)), (Some(Tick(20)), None));
        let mut due = |now| tracker.take_due(Tick(now), Timestamp(2), CHECK).map(|(id, _)| id.slot);
        assert_eq!((due(30), due(30), due(30), due(40)), (Some(2), Some(1), None, Some(3)));
        assert_eq!(tracker.next_due(), None);
    }

    #[test]
    fn progress_of_a_connection_takes_at_most_24_bytes() {
        assert!(size_of::<(ConnectionId, SyncProgress)>() <= 24);
    }
}
