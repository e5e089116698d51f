//! What waits for a client whose socket is full (`decisions.md` 4). Pure, but for the write itself.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use crate::connection::Tick;
use crate::transport::websocket::Frame;

/// How many frames leave in one write at the most.
const AT_ONCE: usize = 64;

/// Frames that wait, in order.
#[derive(Debug)]
pub(super) struct Outbox {
    frames: VecDeque<Waiting>,
    /// Bytes that wait.
    length: usize,
    /// How much of the first frame has been written.
    begun: usize,
    /// When the socket last took a byte.
    taken: Tick,
}

#[derive(Debug)]
struct Waiting {
    bytes: Bytes,
    collapsible: bool,
}

#[derive(Debug)]
enum Bytes {
    Shared(Frame),
    Own(Vec<u8>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Bytes::Shared(frame) => frame.bytes(),
            Bytes::Own(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// An empty one, for a socket that was full just now.
    pub(super) fn new(now: Tick) -> Outbox {
        Outbox { frames: VecDeque::new(), length: 0, begun: 0, taken: now }
    }

    /// One that holds these bytes.
    pub(super) fn of(bytes: Vec<u8>, now: Tick) -> Outbox {
        let mut outbox = Outbox::new(now);
        outbox.push_own(bytes);
        outbox
    }

    /// Adds a frame that is shared with others, `written` bytes of which are out already (of the first one only).
    pub(super) fn push(&mut self, frame: Frame, written: usize, collapsible: bool) {
        self.add(Bytes::Shared(frame), written, collapsible);
    }

    /// Adds bytes that are this client's alone.
    pub(super) fn push_own(&mut self, bytes: Vec<u8>) {
        self.add(Bytes::Own(bytes), 0, false);
    }

    fn add(&mut self, bytes: Bytes, written: usize, collapsible: bool) {
        debug_assert!(written == 0 || self.frames.is_empty());
        self.length += bytes.get().len() - written;
        if self.frames.is_empty() {
            self.begun = written;
        }
        self.frames.push_back(Waiting { bytes, collapsible });
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// When the socket last took a byte.
    pub(super) fn taken(&self) -> Tick {
        self.taken
    }

    /// Replaces all frames that a `SyncVault` makes up for, and that are not begun, by one such frame at the place of
    /// the first of them; false if there was none.
    pub(super) fn collapse(&mut self, sync: Frame) -> bool {
        let begun = usize::from(self.begun > 0);
        let Some(first) = self.frames.iter().skip(begun).position(|frame| frame.collapsible) else { return false };
        let first = first + begun;
        self.length += sync.bytes().len();
        let mut place = 0;
        self.frames.retain(|frame| {
            let keep = place < begun || !frame.collapsible;
            if !keep {
                self.length -= frame.bytes.get().len();
            }
            place += 1;
            keep
        });
        self.frames.insert(first, Waiting { bytes: Bytes::Shared(sync), collapsible: true });
        true
    }

    /// Writes as much as the socket takes; an error other than a full socket ends the connection.
    pub(super) fn flush(&mut self, socket: &mut impl Write, now: Tick) -> io::Result<()> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                let from = if count == 0 { self.begun } else { 0 };
                *slice = IoSlice::new(&frame.bytes.get()[from..]);
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
        self.taken = now;
        self.length -= written;
        while let Some(first) = self.frames.front() {
            let left = first.bytes.get().len() - self.begun;
            if written < left {
                self.begun += written;
                return;
            }
            written -= left;
            self.begun = 0;
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

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
    fn any_division_of_the_writes_gives_the_same_bytes() {
        for room in 1..40 {
            let mut outbox = Outbox::new(Tick(0));
            outbox.push(frame(b'a'), 3, false);
            outbox.push(frame(b'b'), 0, false);
            outbox.push_own(vec![b'c'; 5]);
            let expected = [&frame(b'a').bytes()[3..], frame(b'b').bytes(), &[b'c'; 5]].concat();
            assert_eq!(outbox.len(), expected.len());
            let mut socket = Socket { room, taken: Vec::new() };
            let mut turns = 0;
            while !outbox.is_empty() {
                outbox.flush(&mut socket, Tick(turns)).expect("a full socket is no error");
                assert_eq!(outbox.len(), expected.len() - socket.taken.len());
                socket.room = room;
                turns += 1;
            }
            assert_eq!(socket.taken, expected);
        }
    }

    #[test]
    fn collapsing_keeps_what_is_begun_and_what_is_no_sync() {
        let mut outbox = Outbox::new(Tick(0));
        outbox.push(frame(b'a'), 4, true);
        for (letter, collapsible) in [(b'b', false), (b'c', true), (b'd', false), (b'e', true)] {
            outbox.push(frame(letter), 0, collapsible);
        }
        assert!(outbox.collapse(frame(b's')));
        let expected = outbox.len();
        let mut socket = Socket { room: usize::MAX, taken: Vec::new() };
        outbox.flush(&mut socket, Tick(1)).expect("room enough");
        assert_eq!(socket.taken.len(), expected);
        let mut order: Vec<char> = letters(&socket.taken).chars().collect();
        order.dedup();
        assert_eq!(order, ['a', 'b', 's', 'd']);
        assert!(!outbox.collapse(frame(b's')), "nothing waits");
    }

    #[test]
    fn a_broken_socket_is_an_error() {
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
        outbox.push_own(vec![1]);
        assert!(outbox.flush(&mut Broken, Tick(0)).is_err());
    }
}
