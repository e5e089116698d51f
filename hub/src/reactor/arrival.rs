//! A connection whose request has not been answered. It owns no buffer before its first byte and none of more than what came.

use std::io::{self, Read};
use std::net::IpAddr;

use super::socket::Socket;
use crate::connection::Tick;
use crate::transport::front_door::{self, Head, Upgrade};
use crate::transport::proxy_protocol::{self, Preface, may_begin_with};
use crate::transport::request_head::{MAX_HEAD_BYTES, too_large};

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
    /// An earlier request on this connection was answered.
    is_kept: bool,
    /// Whether a header of the PROXY protocol may come, and whether it is believed.
    preface: Option<bool>,
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
    /// A connection that has just been accepted. `is_proxied`: what a header of the PROXY protocol says of its client is believed.
    pub(super) fn new(socket: Socket, peer: IpAddr, deadline: Tick, is_proxied: bool) -> Arrival {
        let head = Vec::new();
        let preface = Some(is_proxied);
        Arrival { socket, peer, head, blank: 0, verifying: None, unread: false, deadline, is_kept: false, preface }
    }

    /// A connection that is kept for its next request.
    pub(super) fn kept(socket: Socket, peer: IpAddr, deadline: Tick) -> Arrival {
        Arrival { is_kept: true, preface: None, ..Arrival::new(socket, peer, deadline, false) }
    }

    /// Whether it is kept for a request of which nothing has come: it goes first where room is short.
    pub(super) fn is_idle(&self) -> bool {
        self.is_kept && self.head.is_empty()
    }

    /// Reads what has come of the head. Once it is whole, what follows stays in the socket as far as it can.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Progress {
        loop {
            if self.verifying.is_some() {
                // Bytes behind the head are read when the client is one; until then the socket keeps them.
                self.unread = true;
                return Progress::Waits;
            }
            let room = buffer.len().min(MAX_HEAD_BYTES.saturating_sub(self.head.len()).max(1));
            let count = match self.socket.read(&mut buffer[..room]) {
                Ok(0) => return Progress::Gone,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return Progress::Gone,
            };
            self.unread = count == room;
            if let Some(head) = self.take(&buffer[..count]) {
                return Progress::Head(head);
            }
        }
    }

    /// Takes bytes that have come; what they ask for once the head is whole.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<Head> {
        match self.preface {
            Some(is_proxied) if !self.head.is_empty() || bytes.first().is_some_and(|&byte| may_begin_with(byte)) => {
                self.take_preface(bytes, is_proxied)
            }
            _ => {
                self.preface = None;
                self.take_head(bytes)
            }
        }
    }

    /// Takes bytes that may be a header of the PROXY protocol.
    fn take_preface(&mut self, bytes: &[u8], is_proxied: bool) -> Option<Head> {
        let mut all = std::mem::take(&mut self.head);
        all.extend_from_slice(bytes);
        let length = match proxy_protocol::read(&all) {
            Preface::Partial if all.len() < MAX_HEAD_BYTES => {
                self.head = all;
                return None;
            }
            Preface::Absent => 0,
            Preface::Present(length, source) if is_proxied => {
                self.peer = source.unwrap_or(self.peer);
                length
            }
            Preface::Partial | Preface::Present(..) | Preface::Malformed => return Some(Head::ProxyHeader),
        };
        self.preface = None;
        if length < all.len() { self.take_head(&all[length..]) } else { None }
    }

    fn take_head(&mut self, bytes: &[u8]) -> Option<Head> {
        let first = self.head.is_empty();
        let new = if first { without_empty_lines(bytes) } else { bytes };
        if new.is_empty() {
            self.blank += bytes.len();
            return (self.blank >= MAX_HEAD_BYTES).then(|| Head::Refuse(too_large()));
        }
        self.head.reserve_exact(new.len());
        self.head.extend_from_slice(new);
        // A head ends with a line: between two of them there is nothing new to see.
        let may_be_whole = first || new.contains(&b'\n') || self.head.len() >= MAX_HEAD_BYTES;
        may_be_whole.then(|| front_door::read(&self.head)).filter(|head| !matches!(head, Head::Partial))
    }
}

/// Empty lines before a request say nothing, and who sends them one by one should not have all of them read each time.
fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    &bytes[start..]
}
