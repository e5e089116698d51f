//! A connection whose request has not been answered. It owns no buffer before its first byte and none of more than what came.

use std::io::{self, Read};
use std::net::IpAddr;

use super::socket::Socket;
use crate::connection::Tick;
use crate::transport::front_door::{self, Head, LARGEST_HEAD, Upgrade};

/// A request on its way in.
pub(super) struct Arrival {
    pub(super) socket: Socket,
    /// Where it comes from: a client or a proxy.
    pub(super) peer: IpAddr,
    /// What was read of it, without the ends of lines that stood before it.
    pub(super) head: Vec<u8>,
    /// How many bytes those were.
    blank: usize,
    /// The upgrade whose token is being verified, and the number under which it is.
    pub(super) verifying: Option<Box<(u64, Upgrade)>>,
    /// There may be more to read, of which no event will tell.
    pub(super) unread: bool,
    /// When it is cut off, unless its token is being verified.
    pub(super) deadline: Tick,
}

/// What became of an arrival.
pub(super) enum Progress {
    /// More has to come.
    Waits,
    /// Its head is whole.
    Head(Head),
    /// The client hung up.
    Gone,
}

impl Arrival {
    pub(super) fn new(socket: Socket, peer: IpAddr, deadline: Tick) -> Arrival {
        Arrival { socket, peer, head: Vec::new(), blank: 0, verifying: None, unread: false, deadline }
    }

    /// Reads what has come of the head. Once it is whole, what follows stays in the socket as far as it can.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Progress {
        loop {
            if self.verifying.is_some() {
                // Bytes behind the head are read when the client is one; until then the socket keeps them.
                self.unread = true;
                return Progress::Waits;
            }
            let room = buffer.len().min(LARGEST_HEAD.saturating_sub(self.head.len()).max(1));
            let count = match self.socket.read(&mut buffer[..room]) {
                Ok(0) => return Progress::Gone,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Progress::Gone,
            };
            self.unread = count == room;
            let new = &buffer[..count];
            let first = self.head.is_empty();
            let new = if first { without_empty_lines(new) } else { new };
            if new.is_empty() {
                self.blank += count;
                match self.blank >= LARGEST_HEAD {
                    true => return Progress::Head(front_door::too_large()),
                    false => continue,
                }
            }
            self.head.reserve_exact(new.len());
            self.head.extend_from_slice(new);
            // A head ends with a line: between two of them there is nothing new to see.
            if first || new.contains(&b'\n') || self.head.len() >= LARGEST_HEAD {
                match front_door::read(&self.head) {
                    Head::Partial => {}
                    head => return Progress::Head(head),
                }
            }
        }
    }
}

/// Empty lines before a request say nothing, and who sends them one by one should not have all of them read each time.
fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    &bytes[start..]
}
