//! A connection whose request head is being received, or whose token is being verified. It owns no buffer before its first
//! byte, and never a larger one than what was received.

use std::io::{self, Read};
use std::net::IpAddr;

use crate::http::proxy_protocol::{self, Preface, may_begin_with};
use crate::http::request_head::{MAX_HEAD_BYTES, too_large};
use crate::http::request_kind::{self, RequestKind, Upgrade};
use crate::reactor::sockets::socket::Socket;
use crate::signalr::Tick;

/// A request that is being received.
pub(crate) struct PendingRequest {
    pub(crate) socket: Socket,
    /// The other end of the connection: a client or a proxy.
    pub(crate) peer: IpAddr,
    /// The bytes of its head that were read, without leading line ends; of an upgrade, once its head is complete, the bytes
    /// behind the head.
    pub(crate) head: Vec<u8>,
    /// How many bytes of leading line ends were read.
    leading_blank_bytes: usize,
    /// The upgrade whose token is being verified, and the id of the verification.
    pub(crate) awaiting_token: Option<Box<(u64, Upgrade)>>,
    /// Whether the socket may hold more bytes that no event will announce.
    pub(crate) maybe_readable: bool,
    /// When it is dropped, unless its token is being verified.
    pub(crate) deadline: Tick,
    /// Whether an earlier request on this connection was answered.
    is_keep_alive: bool,
    /// `None` if no header of the PROXY protocol may come any more; else whether one is believed.
    preface: Option<bool>,
}

/// The outcome of reading a request's head.
pub(crate) enum ReadHead {
    /// More bytes are needed.
    Incomplete,
    /// The head is complete.
    Complete(RequestKind),
    /// The client closed the connection.
    Closed,
}

impl PendingRequest {
    /// Creates the state of a connection that was just accepted. `is_proxied` tells whether a header of the PROXY protocol is
    /// believed.
    pub(crate) fn new(socket: Socket, peer: IpAddr, deadline: Tick, is_proxied: bool) -> PendingRequest {
        let head = Vec::new();
        let preface = Some(is_proxied);
        PendingRequest {
            socket,
            peer,
            head,
            leading_blank_bytes: 0,
            awaiting_token: None,
            maybe_readable: false,
            deadline,
            is_keep_alive: false,
            preface,
        }
    }

    /// Creates the state of a connection that is kept for its next request.
    pub(crate) fn keep_alive(socket: Socket, peer: IpAddr, deadline: Tick) -> PendingRequest {
        PendingRequest { is_keep_alive: true, preface: None, ..PendingRequest::new(socket, peer, deadline, false) }
    }

    /// Returns whether it is kept for a request of which nothing was received: such connections are evicted first.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_keep_alive && self.head.is_empty()
    }

    /// Reads from the socket. Once the head is complete, the bytes behind it stay in the socket as far as possible.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> ReadHead {
        loop {
            if self.awaiting_token.is_some() {
                // Bytes behind the head are read when the client is one; until then the socket keeps them.
                self.maybe_readable = true;
                return ReadHead::Incomplete;
            }
            let room = buffer.len().min(MAX_HEAD_BYTES.saturating_sub(self.head.len()).max(1));
            let count = match self.socket.read(&mut buffer[..room]) {
                Ok(0) => return ReadHead::Closed,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return ReadHead::Incomplete,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return ReadHead::Closed,
            };
            self.maybe_readable = count == room;
            if let Some(head) = self.feed(&buffer[..count]) {
                return ReadHead::Complete(head);
            }
        }
    }

    /// Takes received bytes. Returns the kind of the request once its head is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<RequestKind> {
        match self.preface {
            Some(is_proxied) if !self.head.is_empty() || bytes.first().is_some_and(|&byte| may_begin_with(byte)) => {
                self.feed_preface(bytes, is_proxied)
            }
            _ => {
                self.preface = None;
                self.feed_head(bytes)
            }
        }
    }

    /// Takes received bytes that may be a header of the PROXY protocol.
    fn feed_preface(&mut self, bytes: &[u8], is_proxied: bool) -> Option<RequestKind> {
        let mut all = std::mem::take(&mut self.head);
        all.extend_from_slice(bytes);
        let length = match proxy_protocol::read(&all) {
            Preface::Partial if all.len() < MAX_HEAD_BYTES => {
                self.head = all;
                return None;
            }
            Preface::Absent => 0,
            Preface::Present(length, source) if is_proxied => {
                self.peer = source.map_or(self.peer, |source| source.to_canonical());
                length
            }
            Preface::Partial | Preface::Present(..) | Preface::Malformed => return Some(RequestKind::ProxyHeader),
        };
        self.preface = None;
        if length < all.len() { self.feed_head(&all[length..]) } else { None }
    }

    fn feed_head(&mut self, bytes: &[u8]) -> Option<RequestKind> {
        let first = self.head.is_empty();
        let new = if first { without_empty_lines(bytes) } else { bytes };
        if new.is_empty() {
            self.leading_blank_bytes += bytes.len();
            return (self.leading_blank_bytes >= MAX_HEAD_BYTES).then(|| RequestKind::Reject(too_large()));
        }
        if !first {
            self.head.reserve_exact(new.len());
            self.head.extend_from_slice(new);
        }
        let head = if first { new } else { &self.head[..] };
        // A head ends with a line: between two of them there is nothing new to see.
        let may_be_whole = first || new.contains(&b'\n') || head.len() >= MAX_HEAD_BYTES;
        let kind = if may_be_whole { request_kind::classify(head) } else { RequestKind::Incomplete };
        match &kind {
            // Its head is needed no longer: most are never copied.
            RequestKind::Upgrade(upgrade) => self.head = head[upgrade.length..].to_vec(),
            _ if first => self.head = new.to_vec(),
            _ => {}
        }
        Some(kind).filter(|kind| !matches!(kind, RequestKind::Incomplete))
    }
}

/// Strips leading line ends. A client that sends them one by one must not have all of them parsed each time.
fn without_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(bytes.len());
    &bytes[start..]
}
