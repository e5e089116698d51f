//! Tracks, per connection, a missed-push lookup, a `SyncVault` and a write backlog. No I/O.

use std::collections::VecDeque;

use foldhash::HashMap;

use super::Timestamp;
use crate::connection::{ConnectionId, Tick};

/// How far a `SyncVault` for a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SyncProgress {
    /// What the client missed is being looked up.
    LookupPending,
    /// It is scheduled.
    Pending,
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

/// The state of one connection. Most connections have none.
#[derive(Debug, Default)]
struct ConnectionState {
    sync: Option<SyncProgress>,
    backlog: Option<WriteBacklog>,
}

/// Tracks the connections of one reactor for which a `SyncVault` is scheduled or was sent, or whose sockets were full.
#[derive(Debug, Default)]
pub(super) struct SyncTracker {
    entries: HashMap<ConnectionId, ConnectionState>,
    /// When to look whether a connection's entry can be dropped. All wait equally long.
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
        self.entries.entry(id).or_default().sync = Some(SyncProgress::LookupPending);
    }

    /// Ends a lookup. Returns `false` if there is none: a sync is scheduled, or the connection is closed.
    pub(super) fn end_lookup(&mut self, id: ConnectionId) -> bool {
        let is_looking_up = self.entries.get(&id).is_some_and(|entry| entry.sync == Some(SyncProgress::LookupPending));
        if is_looking_up {
            self.set_sync(id, None);
        }
        is_looking_up
    }

    /// Notes that a sync is scheduled. Returns `false` if one was before.
    pub(super) fn mark_sync_pending(&mut self, id: ConnectionId) -> bool {
        self.entries.entry(id).or_default().sync.replace(SyncProgress::Pending) != Some(SyncProgress::Pending)
    }

    /// Returns whether a sync is scheduled.
    pub(super) fn is_sync_pending(&self, id: ConnectionId) -> bool {
        self.entries.get(&id).is_some_and(|entry| entry.sync == Some(SyncProgress::Pending))
    }

    /// Notes that a sync was handed to a client's socket; the entry is looked at again at `check`.
    pub(super) fn on_sync_sent(&mut self, id: ConnectionId, written: Tick, until: Timestamp, check: Tick) {
        self.set_sync(id, Some(SyncProgress::Sent { written, until }));
        self.checks.push_back((check, id));
    }

    /// Notes that a frame for a client has to wait; the entry is looked at again at `check`.
    pub(super) fn on_backlog(&mut self, id: ConnectionId, now: Tick, check: Tick) {
        let entry = self.entries.entry(id).or_default();
        match &mut entry.backlog {
            Some(backlog) => backlog.drained = None,
            None => {
                entry.backlog = Some(WriteBacklog { since: now, drained: None });
                self.checks.push_back((check, id));
            }
        }
    }

    /// Notes that no frame for a client waits any more.
    pub(super) fn on_drained(&mut self, id: ConnectionId, now: Tick) {
        if let Some(backlog) = self.entries.get_mut(&id).and_then(|entry| entry.backlog.as_mut()) {
            backlog.drained = Some(now);
        }
    }

    /// Returns what is known of a client that has received everything that was written by `written_by` at once.
    pub(super) fn sync_state(&self, id: ConnectionId, written_by: Option<Tick>) -> SyncState {
        let plain = SyncState::Received { written_by, synced_until: None };
        if self.entries.is_empty() {
            return plain;
        }
        self.entries.get(&id).map_or(plain, |entry| entry.sync_state(written_by))
    }

    /// Removes a connection that is closed.
    pub(super) fn remove(&mut self, id: ConnectionId) {
        if !self.entries.is_empty() {
            self.entries.remove(&id);
        }
    }

    /// Returns the next connection to look at by now.
    pub(super) fn next_check(&mut self, now: Tick) -> Option<ConnectionId> {
        self.checks.front().filter(|(check, _)| *check <= now)?;
        self.checks.pop_front().map(|(_, id)| id)
    }

    /// Drops the state that is proven to be received, and checks the rest again at `check`. Returns the timestamp up to which a
    /// sync covers every push, if it was received since the last check.
    pub(super) fn check(&mut self, id: ConnectionId, written_by: Option<Tick>, check: Tick) -> Option<Timestamp> {
        let entry = self.entries.get_mut(&id)?;
        let mut synced_until = None;
        if let SyncState::Received { synced_until: until @ Some(_), .. } = entry.sync_state(written_by) {
            synced_until = until;
            entry.sync = None;
        }
        if entry.backlog.is_some_and(|backlog| backlog.is_received(written_by)) {
            entry.backlog = None;
        }
        if entry.sync.is_none() && entry.backlog.is_none() {
            self.entries.remove(&id);
        } else if entry.backlog.is_some() || matches!(entry.sync, Some(SyncProgress::Sent { .. })) {
            self.checks.push_back((check, id));
        }
        synced_until
    }

    fn set_sync(&mut self, id: ConnectionId, sync: Option<SyncProgress>) {
        let entry = self.entries.entry(id).or_default();
        entry.sync = sync;
        if entry.sync.is_none() && entry.backlog.is_none() {
            self.entries.remove(&id);
        }
    }
}

impl ConnectionState {
    fn sync_state(&self, written_by: Option<Tick>) -> SyncState {
        let written_by = match self.backlog {
            Some(backlog) if !backlog.is_received(written_by) => {
                written_by.min(backlog.since.0.checked_sub(1).map(Tick))
            }
            _ => written_by,
        };
        match self.sync {
            None => SyncState::Received { written_by, synced_until: None },
            Some(SyncProgress::Sent { written, until }) if written_by.is_some_and(|by| by >= written) => {
                SyncState::Received { written_by, synced_until: Some(until) }
            }
            Some(SyncProgress::LookupPending | SyncProgress::Pending | SyncProgress::Sent { .. }) => SyncState::Pending,
        }
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
        assert!(tracker.entries.is_empty());
    }

    #[test]
    fn end_lookup_with_pending_sync_returns_false() {
        let mut tracker = SyncTracker::default();
        tracker.on_lookup(ID);
        assert!(tracker.mark_sync_pending(ID) && !tracker.mark_sync_pending(ID) && tracker.is_sync_pending(ID));
        assert!(!tracker.end_lookup(ID));
        assert_eq!(tracker.sync_state(ID, Some(Tick(5))), SyncState::Pending);
    }

    #[test]
    fn standing_after_a_sync_is_open_until_the_sync_is_received() {
        let mut tracker = SyncTracker::default();
        tracker.mark_sync_pending(ID);
        tracker.on_sync_sent(ID, Tick(10), Timestamp(60), CHECK);
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
        tracker.on_sync_sent(ID, Tick(11), Timestamp(60), CHECK);
        assert_eq!(tracker.sync_state(ID, Some(Tick(50))), SyncState::Pending);
        tracker.on_drained(ID, Tick(40));
        assert_eq!(tracker.sync_state(ID, Some(Tick(40))), received(40, Some(60)));
    }

    #[test]
    fn settle_drops_received_entries_and_rechecks_the_rest() {
        let mut tracker = SyncTracker::default();
        tracker.on_sync_sent(ID, Tick(10), Timestamp(60), Tick(20));
        assert_eq!((tracker.next_check(Tick(19)), tracker.next_check(Tick(20))), (None, Some(ID)));
        assert_eq!(tracker.check(ID, Some(Tick(9)), Tick(30)), None);
        assert_eq!(tracker.next_check(Tick(30)), Some(ID));
        assert_eq!(tracker.check(ID, Some(Tick(10)), Tick(40)), Some(Timestamp(60)));
        assert_eq!(tracker.next_check(Tick(99)), None);
        assert!(tracker.entries.is_empty());
    }
}
