//! Writes frames to the socket of a connection, and queues the bytes that the socket does not take (`outbox`).

use super::outbox::Outbox;
use super::socket::Socket;
use crate::config::SlowConsumer;
use crate::signalr::Tick;
use crate::websocket::Frame;

/// How much a slow client may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteLimits {
    /// The most bytes that may be queued for one connection.
    pub(crate) max_queued_bytes: usize,
    /// After how many ticks without progress the connection is closed.
    pub(crate) write_timeout: u32,
}

impl WriteLimits {
    /// Returns the limits of a configuration.
    pub(crate) fn new(config: &SlowConsumer) -> WriteLimits {
        WriteLimits { max_queued_bytes: config.max_queued_bytes, write_timeout: Tick::ticks_in(config.write_timeout) }
    }
}

/// The outcome of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// All bytes are in the socket.
    Written,
    /// The socket is full: the frame is queued.
    Queued,
    /// Queued frames were replaced by one `SyncVault`.
    Coalesced,
    /// The write queue is over its limit.
    Overflow,
    /// The socket failed.
    Closed,
}

/// Writes to the socket of a connection. The queue is `None` while the socket takes all bytes.
pub(super) struct FrameWriter<'a> {
    pub(super) socket: &'a mut Socket,
    pub(super) outbox: &'a mut Option<Box<Outbox>>,
}

impl FrameWriter<'_> {
    /// Writes a frame that is shared with other connections, or queues it. `substitute` returns the `SyncVault` that may replace
    /// coalescible frames if the queue is over its limit, `None` for a client that cannot sync.
    pub(super) fn write_shared(
        self,
        frame: &Frame,
        coalescible: bool,
        now: Tick,
        write_limits: &WriteLimits,
        substitute: impl FnOnce() -> Option<Frame>,
    ) -> WriteOutcome {
        if self.outbox.is_some() {
            return self.enqueue(frame, 0, coalescible, now, write_limits, substitute);
        }
        match self.socket.try_write(frame.bytes()) {
            Ok(count) if count == frame.bytes().len() => WriteOutcome::Written,
            Ok(count) => self.enqueue(frame, count, coalescible, now, write_limits, substitute),
            Err(_) => WriteOutcome::Closed,
        }
    }

    /// Queues a frame of which `written` bytes are written. Apart from [`Self::write_shared`], whose fast path stays short.
    #[cold]
    fn enqueue(
        self,
        frame: &Frame,
        written: usize,
        coalescible: bool,
        now: Tick,
        write_limits: &WriteLimits,
        substitute: impl FnOnce() -> Option<Frame>,
    ) -> WriteOutcome {
        let outbox = queue(self.outbox, now);
        outbox.push(frame.clone(), written, coalescible);
        if outbox.cost() <= write_limits.max_queued_bytes {
            return WriteOutcome::Queued;
        }
        let coalesced = substitute().is_some_and(|sync| outbox.coalesce(sync));
        match outbox.cost() <= write_limits.max_queued_bytes {
            true if coalesced => WriteOutcome::Coalesced,
            _ => WriteOutcome::Overflow,
        }
    }

    /// Writes bytes for this connection alone, or queues them.
    pub(super) fn write_owned(self, bytes: &[u8], now: Tick, write_limits: &WriteLimits) -> WriteOutcome {
        let mut rest = bytes;
        if self.outbox.is_none() {
            match self.socket.try_write(rest) {
                Ok(count) if count == rest.len() => return WriteOutcome::Written,
                Ok(count) => rest = &rest[count..],
                Err(_) => return WriteOutcome::Closed,
            }
        }
        let outbox = queue(self.outbox, now);
        outbox.push_owned(rest);
        if outbox.cost() <= write_limits.max_queued_bytes { WriteOutcome::Queued } else { WriteOutcome::Overflow }
    }

    /// Queues bytes for this connection alone until [`FrameWriter::flush`], and with them all that follows.
    pub(super) fn write_deferred(self, bytes: &[u8], now: Tick) -> WriteOutcome {
        queue(self.outbox, now).push_owned(bytes);
        WriteOutcome::Written
    }

    /// Writes a ping, or drops it if the socket is full: what the socket holds serves the same purpose.
    pub(super) fn write_droppable(self, frame: &Frame, now: Tick) -> WriteOutcome {
        match self.socket.try_write(frame.bytes()) {
            Ok(count) if count == 0 || count == frame.bytes().len() => WriteOutcome::Written,
            Ok(written) => {
                queue(self.outbox, now).push(frame.clone(), written, false);
                WriteOutcome::Queued
            }
            Err(_) => WriteOutcome::Closed,
        }
    }

    /// Writes queued frames.
    pub(super) fn flush(self, now: Tick) -> WriteOutcome {
        let Some(outbox) = self.outbox else { return WriteOutcome::Written };
        match outbox.flush(self.socket, now) {
            Err(_) => WriteOutcome::Closed,
            Ok(()) if outbox.is_empty() => {
                *self.outbox = None;
                WriteOutcome::Written
            }
            Ok(()) => WriteOutcome::Queued,
        }
    }
}

/// Returns the write queue, which is created if there is none.
fn queue(outbox: &mut Option<Box<Outbox>>, now: Tick) -> &mut Outbox {
    outbox.get_or_insert_with(|| Box::new(Outbox::new(now)))
}
