//! The write queue of a connection whose socket is full. `FrameWriter` (`frame_writer`) bounds it by `slow_consumer.max_queued_bytes`.
//! No I/O but the write to the given socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use crate::signalr::Tick;
use crate::websocket::Frame;

/// The most frames in one vectored write.
const MAX_IOVECS: usize = 64;

/// Upper bound of the memory that a queued frame takes besides its bytes.
const FRAME_OVERHEAD_BYTES: usize = 160;

/// Queued frames, in order.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<QueuedFrame>,
    /// The memory that the queued frames take, in bytes.
    cost: usize,
    /// How much of the first frame has been written.
    head_offset: usize,
    /// When the socket last took a byte.
    last_progress: Tick,
}

#[derive(Debug)]
enum QueuedFrame {
    /// Shared with other connections.
    Shared(Frame),
    /// Shared with other connections. A `SyncVault` may replace it.
    Coalescible(Frame),
    /// For this connection alone.
    Owned(Box<[u8]>),
}

impl QueuedFrame {
    fn bytes(&self) -> &[u8] {
        match self {
            QueuedFrame::Shared(frame) | QueuedFrame::Coalescible(frame) => frame.bytes(),
            QueuedFrame::Owned(bytes) => bytes,
        }
    }

    fn is_coalescible(&self) -> bool {
        matches!(self, QueuedFrame::Coalescible(_))
    }

    fn cost(&self) -> usize {
        self.bytes().len() + FRAME_OVERHEAD_BYTES
    }
}

impl Outbox {
    /// Creates an empty queue for a socket that was just found full.
    pub(crate) fn new(now: Tick) -> Outbox {
        Outbox { frames: VecDeque::new(), cost: 0, head_offset: 0, last_progress: now }
    }

    /// Creates a queue that holds these bytes.
    pub(crate) fn with_bytes(bytes: &[u8], now: Tick) -> Outbox {
        let mut outbox = Outbox::new(now);
        outbox.push_owned(bytes);
        outbox
    }

    /// Adds a shared frame. `written` bytes of it are written already, which only the first frame may have.
    pub(crate) fn push(&mut self, frame: Frame, written: usize, coalescible: bool) {
        debug_assert!(written == 0 || self.frames.is_empty());
        if self.frames.is_empty() {
            self.head_offset = written;
        }
        self.add(if coalescible { QueuedFrame::Coalescible(frame) } else { QueuedFrame::Shared(frame) });
    }

    /// Adds bytes for this connection alone.
    pub(crate) fn push_owned(&mut self, bytes: &[u8]) {
        self.add(QueuedFrame::Owned(bytes.into()));
    }

    fn add(&mut self, frame: QueuedFrame) {
        self.cost += frame.cost();
        self.frames.push_back(frame);
    }

    /// Returns about how many bytes of memory the frames behind the first take. The first does not count, so that a push of any
    /// size reaches a client that reads.
    pub(crate) fn cost(&self) -> usize {
        self.cost - self.frames.front().map_or(0, QueuedFrame::cost)
    }

    /// Returns how many queued frames a `SyncVault` may not replace.
    pub(crate) fn uncovered(&self) -> usize {
        self.frames.iter().filter(|frame| matches!(frame, QueuedFrame::Shared(_))).count()
    }

    /// Returns whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Returns when the socket last took a byte.
    pub(crate) fn last_progress(&self) -> Tick {
        self.last_progress
    }

    /// Replaces all frames that a `SyncVault` may replace, and of which nothing is written, by `sync` at the place of the first of
    /// them. Returns `false` if there was none.
    pub(crate) fn coalesce(&mut self, sync: Frame) -> bool {
        let begun = usize::from(self.head_offset > 0);
        let first = self.frames.iter().skip(begun).position(QueuedFrame::is_coalescible);
        let Some(first) = first.map(|first| first + begun) else { return false };
        let mut place = 0;
        self.frames.retain(|frame| {
            let keep = place < begun || !frame.is_coalescible();
            if !keep {
                self.cost -= frame.cost();
            }
            place += 1;
            keep
        });
        self.frames.shrink_to_fit();
        let sync = QueuedFrame::Coalescible(sync);
        self.cost += sync.cost();
        self.frames.insert(first, sync);
        true
    }

    /// Writes as much as the socket takes. A full socket is no error.
    pub(crate) fn flush(&mut self, socket: &mut impl Write, now: Tick) -> io::Result<()> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                let from = if count == 0 { self.head_offset } else { 0 };
                *slice = IoSlice::new(&frame.bytes()[from..]);
                count += 1;
            }
            match socket.write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize, now: Tick) {
        self.last_progress = now;
        while let Some(first) = self.frames.front() {
            let left = first.bytes().len() - self.head_offset;
            if written < left {
                self.head_offset += written;
                return;
            }
            written -= left;
            self.head_offset = 0;
            self.cost -= first.cost();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signalr::protocol::Protocol;

    /// A socket that takes so many bytes and then is full.
    struct Socket {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Socket {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn frame(letter: u8) -> Frame {
        Frame::new(Protocol::MessagePack, &[letter; 8])
    }

    fn letters(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| char::from(*byte)).filter(char::is_ascii_alphabetic).collect()
    }

    #[test]
    fn flush_in_partial_writes_gives_the_same_bytes() {
        for room in 1..40 {
            let mut outbox = Outbox::new(Tick(0));
            outbox.push(frame(b'a'), 3, false);
            outbox.push(frame(b'b'), 0, false);
            outbox.push_owned(&[b'c'; 5]);
            let expected = [&frame(b'a').bytes()[3..], frame(b'b').bytes(), &[b'c'; 5]].concat();
            let mut socket = Socket { room, taken: Vec::new() };
            let mut turns = 0;
            while !outbox.is_empty() {
                outbox.flush(&mut socket, Tick(turns)).expect("a full socket is no error");
                socket.room = room;
                turns += 1;
            }
            assert_eq!((&socket.taken, outbox.cost), (&expected, 0));
        }
    }

    #[test]
    fn cost_counts_queued_bytes_with_overhead() {
        let mut outbox = Outbox::with_bytes(&[1; 100], Tick(0));
        assert_eq!(outbox.cost(), 0, "the first counts for nothing");
        outbox.push(frame(b'a'), 0, true);
        assert_eq!(outbox.cost(), frame(b'a').bytes().len() + FRAME_OVERHEAD_BYTES);
        assert_eq!(outbox.cost, 100 + frame(b'a').bytes().len() + 2 * FRAME_OVERHEAD_BYTES);
        assert!(size_of::<QueuedFrame>() <= 24, "{}", size_of::<QueuedFrame>());
    }

    #[test]
    fn coalesce_keeps_started_and_non_collapsible_frames() {
        let mut outbox = Outbox::new(Tick(0));
        outbox.push(frame(b'a'), 4, true);
        for (letter, coalescible) in [(b'b', false), (b'c', true), (b'd', false), (b'e', true)] {
            outbox.push(frame(letter), 0, coalescible);
        }
        assert!(outbox.coalesce(frame(b's')));
        let mut socket = Socket { room: usize::MAX, taken: Vec::new() };
        outbox.flush(&mut socket, Tick(1)).expect("room enough");
        assert_eq!(outbox.cost, 0);
        let mut order: Vec<char> = letters(&socket.taken).chars().collect();
        order.dedup();
        assert_eq!(order, ['a', 'b', 's', 'd']);
        assert!(!outbox.coalesce(frame(b's')), "nothing waits");
    }

    #[test]
    fn flush_to_a_broken_socket_returns_error() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut outbox = Outbox::new(Tick(0));
        outbox.push_owned(&[1]);
        assert!(outbox.flush(&mut Broken, Tick(0)).is_err());
    }
}
