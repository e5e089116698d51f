//! One hub process with its connections and what it exchanges with Redis.

use std::collections::VecDeque;

use notification_hub::catch_up::{CatchUp, LocalRecords, LookupResult, Records, Timestamp};
use notification_hub::signalr::{ConnectionId, Tick};

use super::redis::{Entry, RecordedProgress, SharedRecords};
use super::{KEEP_ALIVE_INTERVAL, RECORD_TTL};

/// The maximum number of pushes and devices that local records keep: more than a run has.
const MAX_RECORDS: usize = 100;

/// A frame for a client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Frame {
    /// A push, by its number.
    Push(usize),
    /// A `SyncVault`, with the number of pushes that were accepted before it was written.
    Sync(usize),
}

/// A connection, with the frames on their way to its client.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) device: u8,
    /// Frames that the client has not read, with the tick at which each was written to the socket.
    pub(super) unread: VecDeque<(Tick, Frame)>,
    /// Frames that wait for a full socket, or `None` if the socket has room.
    pub(super) waiting: Option<VecDeque<Frame>>,
    /// When the client last sent something.
    pub(super) last_heard: Tick,
    /// With a backplane: the replica has not subscribed to the channels of this connection yet.
    pub(super) unsubscribed: bool,
}

/// A push that is being written to many connections.
pub(super) struct FanOut {
    pub(super) push: usize,
    pub(super) remaining: Vec<ConnectionId>,
}

/// A hub process with one reactor.
pub(super) struct Replica {
    pub(super) catch_up: CatchUp,
    pub(super) connections: Vec<Connection>,
    pub(super) fan_outs: VecDeque<FanOut>,
    /// With a backplane: operations that are queued for Redis, in order.
    pub(super) entries: VecDeque<Entry>,
    /// With a backplane: progress that `CatchUp` recorded in this step.
    recorded: RecordedProgress,
    /// Published messages that this replica has not read: the timestamp, and the push unless it is its own or for another user.
    pub(super) stream: VecDeque<(Timestamp, Option<usize>)>,
    /// Results of lookups that this replica has not read.
    pub(super) answers: VecDeque<(ConnectionId, LookupResult)>,
}

impl Replica {
    pub(super) fn new(has_backplane: bool) -> Replica {
        let recorded = RecordedProgress::default();
        let records: Box<dyn Records> = match has_backplane {
            true => Box::new(SharedRecords(recorded.clone())),
            false => Box::new(LocalRecords::new(RECORD_TTL, MAX_RECORDS)),
        };
        Replica {
            catch_up: CatchUp::new(Some(records), KEEP_ALIVE_INTERVAL, KEEP_ALIVE_INTERVAL),
            connections: Vec::new(),
            fan_outs: VecDeque::new(),
            entries: VecDeque::new(),
            recorded,
            stream: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// Returns the connection that a random number selects, or `None` if there is none.
    pub(super) fn pick(&mut self, pick: usize) -> Option<&mut Connection> {
        let count = self.connections.len();
        self.connections.get_mut(pick % count.max(1))
    }

    /// Returns whether anything is queued, published or unsubscribed.
    pub(super) fn is_busy(&self) -> bool {
        let under_way = !self.fan_outs.is_empty() || !self.entries.is_empty() || !self.stream.is_empty();
        under_way || !self.answers.is_empty() || self.connections.iter().any(|connection| connection.unsubscribed)
    }

    /// Writes a frame to a connection, or queues it if the socket is full. Does nothing if the connection has ended.
    pub(super) fn write(&mut self, id: ConnectionId, frame: Frame, now: Tick) {
        let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) else { return };
        match &mut connection.waiting {
            Some(waiting) => {
                waiting.push_back(frame);
                self.catch_up.on_backlog(id, now);
            }
            None => connection.unread.push_back((now, frame)),
        }
    }

    /// Queues the progress that `CatchUp` recorded in this step.
    pub(super) fn queue_recorded(&mut self) {
        let recorded = std::mem::take(&mut *self.recorded.lock().expect("one thread"));
        self.entries.extend(recorded.into_iter().map(|(device, until)| Entry::Received { device, until }));
    }

    /// Returns the latest progress of a device on its other connections, or `None` if they prove nothing.
    pub(super) fn received_elsewhere(&self, device: u8, id: ConnectionId) -> Option<Timestamp> {
        let same = self.connections.iter().filter(|connection| connection.device == device && connection.id != id);
        same.filter_map(|connection| self.catch_up.received(connection.id, connection.last_heard)).max()
    }
}
