//! Catch-up: finds out which clients missed a push, and schedules a `SyncVault` for them.
//!
//! Clients do not sync after a reconnect, so one that missed a push is sent a `SyncVault`. One rule decides, with and without a
//! backplane:
//!
//! - A push is *surely received* once it was written to a connection that the hub heard from at least one keep-alive interval
//!   later. What was written within the last interval before a connection ended, in whatever way, or still waits to be
//!   written, counts as missed. The same holds for the `SyncVault` itself.
//! - When a connection ends, it is recorded up to when its device has surely received every push. When a device returns, a
//!   covered push after that, which it did not cause itself, was missed: a sync is scheduled.
//!
//! [`CatchUp`] applies the rule for the connections of one reactor. It performs no I/O and knows neither sockets nor Redis: what
//! has to be remembered is behind [`Records`].

mod local;
mod missed;
mod records;
mod sync_tracker;
mod ttl_map;
mod watermark;

use std::time::Duration;

use uuid::Uuid;

pub use local::LocalRecords;
pub use missed::{LastPushes, SyncReason, missed};
pub use records::{LookupRequest, LookupResult, Records};
pub use watermark::Watermark;

use crate::delivery::Audience;
use crate::notification::Device;
use crate::signalr::{ConnectionId, Tick};
use sync_tracker::{SyncState, SyncTracker};

/// How long after its handshake a client is sent a sync at the earliest: by then it listens.
const SYNC_DELAY: Duration = Duration::from_secs(1);

/// A time in microseconds on one of two clocks: since this process started, or Redis' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Returns the timestamp `duration` later.
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Returns the timestamp `duration` earlier, at least 0.
    pub fn before(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// Returns the local timestamp at which a tick begins.
    fn from_tick(tick: Tick) -> Timestamp {
        Timestamp::default().after(Tick::LENGTH * tick.0)
    }
}

/// The rule, for the connections of one reactor.
pub struct CatchUp {
    /// `None` if catch-up is disabled.
    records: Option<Box<dyn Records>>,
    tracker: SyncTracker,
    watermark: Watermark,
    /// How much later the hub has to hear from a client than it wrote a frame, for the frame to be surely received, in ticks.
    keep_alive: u32,
    /// After a start every client comes at once, and what it missed is unknown. Those that come within so many ticks are sent a
    /// sync after them, spread evenly over as many again.
    spread: u32,
}

impl CatchUp {
    /// Creates the rule with these records, this keep-alive interval, and the duration over which syncs after a start are spread.
    pub fn new(records: Option<Box<dyn Records>>, keep_alive: Duration, spread: Duration) -> CatchUp {
        // Ticks are rounded down: one more makes the interval a whole one.
        let keep_alive = Tick::ticks_in(keep_alive).saturating_add(1);
        let spread = Tick::ticks_in(spread);
        CatchUp { records, tracker: SyncTracker::default(), watermark: Watermark::default(), keep_alive, spread }
    }

    /// Returns whether catch-up is enabled.
    pub fn is_enabled(&self) -> bool {
        self.records.is_some()
    }

    /// Notes a covered push, before it is written to anybody. Returns how many records were dropped for lack of room.
    pub fn on_push(&mut self, audience: Audience, by: Option<Device>, now: Timestamp) -> usize {
        self.records.as_mut().map_or(0, |records| records.on_push(audience, by, now))
    }

    /// Notes that by `now` every push up to `stream` was written or waits for its socket. See [`Watermark::advance`].
    pub fn on_written(&mut self, now: Timestamp, stream: Timestamp) {
        self.watermark.advance(now, stream);
    }

    /// Where the stream has the local clock: notes that every push before `now` was written or waits for its socket. One that is
    /// noted at the same moment may come later.
    pub fn on_all_written(&mut self, now: Timestamp) {
        self.watermark.advance(now, Timestamp(now.0.saturating_sub(1)));
    }

    /// Returns up to which push everything was written.
    pub fn written(&self) -> Timestamp {
        self.watermark.now()
    }

    /// Looks up what a client missed whose handshake just succeeded, and schedules a sync if it missed something. The result may
    /// come later ([`Self::on_lookup_result`]).
    pub fn on_join(&mut self, id: ConnectionId, client: &LookupRequest<'_>, now: Tick, timestamp: Timestamp) {
        let Some(records) = &mut self.records else { return };
        match records.look_up(client, timestamp) {
            Some(result) => self.apply_lookup(id, client.user, result, now),
            None => self.tracker.on_lookup(id),
        }
    }

    /// Takes the result of a lookup, and schedules a sync if the client missed something. Ignored for a connection that is closed,
    /// or for which a sync is scheduled already.
    pub fn on_lookup_result(&mut self, id: ConnectionId, user: Uuid, result: LookupResult, now: Tick) {
        if self.tracker.end_lookup(id) {
            self.apply_lookup(id, user, result, now);
        }
    }

    fn apply_lookup(&mut self, id: ConnectionId, user: Uuid, result: LookupResult, now: Tick) {
        let Some(reason) = result.reason else { return };
        let earliest = match reason {
            SyncReason::Restart => self.startup_sync_tick(user, now),
            SyncReason::Missed | SyncReason::UnknownDevice | SyncReason::BackplaneGap => now,
        };
        self.schedule_sync(id, reason, result.until, now, earliest);
    }

    /// Schedules a sync for a client, not before `earliest`. Does nothing if one is scheduled already, or if catch-up is disabled.
    /// `until` is the timestamp of the stream's clock up to which it covers every push.
    pub fn schedule_sync(&mut self, id: ConnectionId, reason: SyncReason, until: Timestamp, now: Tick, earliest: Tick) {
        if self.records.is_some() {
            self.tracker.schedule(id, reason, until, now.after(Tick::ticks_in(SYNC_DELAY)).max(earliest));
        }
    }

    /// Returns the tick of the next sync or an earlier one, `None` if no sync is pending.
    pub fn next_sync(&self) -> Option<Tick> {
        self.tracker.next_due()
    }

    /// Takes the next sync that is due. The caller hands it to the socket now: it also covers the pushes that were written before.
    pub fn take_due_sync(&mut self, now: Tick) -> Option<(ConnectionId, SyncReason)> {
        self.tracker.take_due(now, self.watermark.now(), now.after(self.keep_alive))
    }

    /// Notes that a frame for a client did not fit into its socket.
    pub fn on_backlog(&mut self, id: ConnectionId, now: Tick) {
        if self.records.is_some() {
            self.tracker.on_backlog(id, now, now.after(self.keep_alive));
        }
    }

    /// Notes that no frame for a client waits any more.
    pub fn on_drained(&mut self, id: ConnectionId, now: Tick) {
        self.tracker.on_drained(id, now);
    }

    /// Returns up to when the device of a client that was last heard at a tick has surely received every push, or `None` if
    /// this connection proves nothing.
    pub fn received(&self, id: ConnectionId, last_heard: Tick) -> Option<Timestamp> {
        match self.tracker.sync_state(id, self.written_by(last_heard)) {
            SyncState::Pending => None,
            SyncState::Received { written_by, synced_until } => {
                let written_by = written_by.map_or(Timestamp::default(), Timestamp::from_tick);
                Some(self.watermark.at(written_by).max(synced_until.unwrap_or_default()))
            }
        }
    }

    /// Records what the device of a client has received whose connection ends, if the device is known. `now` is read only if
    /// there is something to record. Returns how many records were dropped for lack of room.
    pub fn on_leave(
        &mut self,
        id: ConnectionId,
        device: Option<(Uuid, Device)>,
        last_heard: Tick,
        now: impl FnOnce() -> Timestamp,
    ) -> usize {
        let received = self.received(id, last_heard);
        self.tracker.remove(id);
        match (&mut self.records, device, received) {
            (Some(records), Some((user, device)), Some(received)) => records.on_received(user, device, received, now()),
            _ => 0,
        }
    }

    /// Records which syncs are surely received by now, and drops state that is not needed any more. `client` returns the device of
    /// a connection and when it last sent bytes, `None` if it is closed. Returns how many records were dropped for lack of room.
    pub fn run_checks(
        &mut self,
        now: Tick,
        timestamp: Timestamp,
        client: impl Fn(ConnectionId) -> Option<(Option<(Uuid, Device)>, Tick)>,
    ) -> usize {
        let mut dropped = 0;
        while let Some(id) = self.tracker.next_check(now) {
            let Some((device, last_heard)) = client(id) else { continue };
            let synced = self.tracker.check(id, self.written_by(last_heard), now.after(self.keep_alive));
            if let (Some(records), Some((user, device)), Some(until)) = (&mut self.records, device, synced) {
                dropped += records.on_received(user, device, until, timestamp);
            }
        }
        dropped
    }

    /// Returns the tick by which a frame had to be written to be surely received by a client that was last heard at a tick, or
    /// `None` if that is before the process started.
    fn written_by(&self, last_heard: Tick) -> Option<Tick> {
        last_heard.0.checked_sub(self.keep_alive).map(Tick)
    }

    /// Returns when a client that connects soon after a start is sent a sync. Users are spread evenly, by their ids.
    fn startup_sync_tick(&self, user: Uuid, now: Tick) -> Tick {
        let spread_start = Tick::default().after(self.spread);
        if now >= spread_start {
            return now;
        }
        spread_start.after((user.as_u128() % u128::from(self.spread)) as u32)
    }
}

#[cfg(test)]
mod tests;
