//! WebSockets on the server's side (RFC 6455), without extensions. Pure.

mod decoder;
mod frame;

pub use decoder::{Decoder, Event};
pub use frame::{Frame, Opcode, header, write};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::connection::{Ending, Output, Overdue, Session, Terms, Tick, Transport};
use crate::protocol::{Protocol, ProtocolError};

/// Close codes that are sent.
pub mod code {
    /// The normal end.
    pub const NORMAL: u16 = 1000;
    /// The client broke the WebSocket protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A text is no UTF-8.
    pub const INVALID_DATA: u16 = 1007;
}

/// A `Sec-WebSocket-Accept`.
pub type Accept = [u8; 28];

/// The `Sec-WebSocket-Accept` that proves that a key was read; nothing if that is no key: sixteen bytes in Base64.
pub fn accept(key: &[u8]) -> Option<Accept> {
    const MAGIC: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let key: &[u8; 24] = key.try_into().ok()?;
    let letters = key.strip_suffix(b"==")?;
    if !letters.iter().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'+' | b'/')) {
        return None;
    }
    let mut proof = [0; 60];
    proof[..24].copy_from_slice(key);
    proof[24..].copy_from_slice(MAGIC);
    let mut accept = Accept::default();
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &proof);
    BASE64_STANDARD.encode_slice(digest, &mut accept).ok()?;
    Some(accept)
}

/// A session behind a WebSocket. Between whole messages it holds no buffer.
#[derive(Debug)]
pub struct WebSocket {
    /// The session.
    pub session: Session,
    partial: Option<Box<Partial>>,
}

/// What is there of frames and messages that are not whole yet.
#[derive(Debug, Default)]
struct Partial {
    decoder: Decoder,
    held: Vec<u8>,
    /// When the message that is not whole began, or what came before it ended.
    since: Tick,
}

/// What goes to the client, as bytes for its socket.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Whole frames.
    pub bytes: Vec<u8>,
    /// The protocol of a handshake that has just been accepted.
    pub opened: Option<Protocol>,
    /// The session has to be looked at earlier than it said before.
    pub sooner: bool,
}

/// The largest buffer that is used again, in bytes.
const LARGEST_SPARE: usize = 4096;

impl Outgoing {
    /// Nothing yet, in a buffer that somebody is done with.
    pub fn reusing(spare: &mut Vec<u8>) -> Outgoing {
        let mut bytes = std::mem::take(spare);
        bytes.clear();
        bytes.shrink_to(LARGEST_SPARE);
        Outgoing { bytes, opened: None, sooner: false }
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.opened.is_none() && !self.sooner
    }
}

impl Output for Outgoing {
    fn opened(&mut self, protocol: Protocol) {
        self.opened = Some(protocol);
        self.sooner = true;
    }

    fn timed(&mut self) {
        self.sooner = true;
    }

    fn message(&mut self, protocol: Protocol, body: &[u8]) {
        write(Opcode::of(protocol), body, &mut self.bytes);
    }
}

impl WebSocket {
    /// A client that has just been upgraded; by another transport, its messages come and go as a WebSocket's nevertheless.
    pub fn new(transport: Transport, now: Tick) -> WebSocket {
        WebSocket { session: Session::new(transport, now), partial: None }
    }

    /// Takes bytes from the socket (and unmasks them in place).
    pub fn receive(&mut self, input: &mut [u8], now: Tick, terms: &Terms, outgoing: &mut Outgoing) -> Option<Ending> {
        if self.partial.is_none() && self.session.expects_ping().is_some_and(|ping| is_alone(ping, input)) {
            self.session.pinged(now, outgoing);
            return None;
        }
        let mut partial = self.partial.take();
        let fresh = &mut Partial::default();
        let state = partial.as_deref_mut().unwrap_or(fresh);
        let (progress, ending) = Self::take(&mut self.session, state, input, now, terms, outgoing);
        if ending.is_none() && !state.is_empty() {
            let begins = progress || partial.is_none();
            self.partial = partial.or_else(|| Some(Box::new(std::mem::take(fresh))));
            if let Some(partial) = &mut self.partial {
                partial.held.shrink_to_fit();
                if begins {
                    partial.since = now;
                    outgoing.sooner = true;
                }
            }
        }
        ending
    }

    /// Returns since when the client owes the rest of a message, and how many bytes that takes. `None` between two messages.
    pub fn unfinished(&self) -> Option<(Tick, usize)> {
        let partial = self.partial.as_deref()?;
        Some((partial.since, partial.held.capacity() + size_of::<Partial>()))
    }

    /// When to look at it again; nothing for one that has ended.
    pub fn due(&self, terms: &Terms) -> Option<Tick> {
        let message = self.partial.as_ref().map(|partial| partial.since.after(terms.message_timeout));
        [self.session.due(terms), message].into_iter().flatten().min()
    }

    /// Looks at the clock.
    pub fn overdue(&self, now: Tick, terms: &Terms) -> Option<Overdue> {
        let is_late = |partial: &Partial| now >= partial.since.after(terms.message_timeout);
        let late = || Overdue::End(Ending::Protocol(UNFINISHED));
        self.session.overdue(now, terms).or_else(|| self.partial.as_deref().is_some_and(is_late).then(late))
    }

    /// Takes input apart; says whether a message became whole, and whether the session has ended.
    fn take(
        session: &mut Session,
        state: &mut Partial,
        mut input: &mut [u8],
        now: Tick,
        terms: &Terms,
        outgoing: &mut Outgoing,
    ) -> (bool, Option<Ending>) {
        let mut progress = false;
        while let Some(event) = state.decoder.next(&mut input) {
            let (ending, code) = match event {
                Event::Data { payload, ends } => {
                    let all = state.held.len() + payload.len();
                    match session.receive(&mut state.held, payload, ends, now, terms, outgoing) {
                        Some(ending) => (ending, code::NORMAL),
                        None => {
                            progress |= state.held.len() < all;
                            continue;
                        }
                    }
                }
                Event::Ping(payload) => {
                    write(Opcode::Pong, &payload, &mut outgoing.bytes);
                    continue;
                }
                Event::Pong => continue,
                Event::Close => (Ending::Client, code::NORMAL),
                Event::Violation(code) => (Ending::Protocol(BROKEN), code),
            };
            write(Opcode::Close, &code.to_be_bytes(), &mut outgoing.bytes);
            return (progress, Some(ending));
        }
        (progress, None)
    }

    /// Ends the session from this side, with a Close where the client can still be told.
    pub fn end(&mut self, ending: Ending, outgoing: &mut Outgoing) -> Ending {
        let ending = self.session.end(ending, outgoing);
        write(Opcode::Close, &code::NORMAL.to_be_bytes(), &mut outgoing.bytes);
        ending
    }
}

/// Whether a message is all that came, in one frame: what clients say most of all need not be taken apart.
fn is_alone(message: &[u8], input: &[u8]) -> bool {
    const TEXT_OR_BINARY: [u8; 2] = [0x80 | Opcode::Text as u8, 0x80 | Opcode::Binary as u8];
    let Some(([first, second, mask @ ..], payload)) = input.split_first_chunk::<6>() else { return false };
    TEXT_OR_BINARY.contains(first)
        && usize::from(*second) == 0x80 | message.len()
        && payload.len() == message.len()
        && (0..message.len()).all(|at| payload[at] ^ mask[at & 3] == message[at])
}

const BROKEN: ProtocolError = ProtocolError("the WebSocket protocol was broken");
const UNFINISHED: ProtocolError = ProtocolError("a message was begun and not ended");

impl Partial {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.decoder.is_idle()
    }
}

#[cfg(test)]
mod tests;
