//! The server side of WebSockets (RFC 6455), without extensions. No I/O.

mod decoder;
mod frame;

pub use decoder::{Decoder, Event};
pub use frame::{Frame, Opcode, header, write};

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::net::byte_set::ByteSet;
use crate::signalr::protocol::{Protocol, ProtocolError};
use crate::signalr::{CloseReason, Session, SessionConfig, SessionSink, Tick, TimeoutAction, Transport};

/// The close codes that the server sends (RFC 6455 7.4.1).
pub mod code {
    /// A normal closure.
    pub const NORMAL: u16 = 1000;
    /// The client violated the WebSocket protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A text message is not UTF-8.
    pub const INVALID_DATA: u16 = 1007;
}

const BASE64_BYTES: ByteSet = ByteSet::alphanumeric_and(b"+/");

/// A value of `Sec-WebSocket-Accept`.
pub type Accept = [u8; 28];

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, or `None` if the key is not 16 bytes in Base64.
pub fn accept(key: &[u8]) -> Option<Accept> {
    const GUID: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let key: &[u8; 24] = key.try_into().ok()?;
    let digits = key.strip_suffix(b"==")?;
    if BASE64_BYTES.prefix_length(digits) < digits.len() {
        return None;
    }
    let mut input = [0; 60];
    input[..24].copy_from_slice(key);
    input[24..].copy_from_slice(GUID);
    let mut accept = Accept::default();
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &input);
    BASE64_STANDARD.encode_slice(digest, &mut accept).ok()?;
    Some(accept)
}

/// A WebSocket with its session. Between messages it holds no buffer.
#[derive(Debug)]
pub struct WebSocket {
    /// The session.
    pub session: Session,
    partial: Option<Box<PartialMessage>>,
}

/// The state of an incomplete frame or message.
#[derive(Debug, Default)]
struct PartialMessage {
    decoder: Decoder,
    buffer: Vec<u8>,
    /// The time at which the incomplete message began, or at which the message before it was completed.
    since: Tick,
}

/// The output of a WebSocket: bytes for its socket, and changes of its state.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Complete frames.
    pub bytes: Vec<u8>,
    /// The protocol, if the handshake has just succeeded.
    pub accepted_protocol: Option<Protocol>,
    /// `true` if [`WebSocket::next_timeout`] may have become earlier.
    pub timeout_changed: bool,
}

/// The largest capacity of a buffer that is reused, in bytes.
const MAX_REUSED_BYTES: usize = 4096;

impl Outgoing {
    /// Creates an empty output that reuses a buffer.
    pub fn with_buffer(buffer: &mut Vec<u8>) -> Outgoing {
        let mut bytes = std::mem::take(buffer);
        bytes.clear();
        bytes.shrink_to(MAX_REUSED_BYTES);
        Outgoing { bytes, accepted_protocol: None, timeout_changed: false }
    }

    /// Returns `true` if there are no bytes and no changes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.accepted_protocol.is_none() && !self.timeout_changed
    }
}

impl SessionSink for Outgoing {
    fn handshake_complete(&mut self, protocol: Protocol) {
        self.accepted_protocol = Some(protocol);
        self.timeout_changed = true;
    }

    fn timeout_changed(&mut self) {
        self.timeout_changed = true;
    }

    fn write_message(&mut self, protocol: Protocol, body: &[u8]) {
        write(Opcode::for_protocol(protocol), body, &mut self.bytes);
    }
}

impl WebSocket {
    /// Creates the WebSocket of a client that was just accepted. A client of another transport has one behind its relay.
    pub fn new(transport: Transport, now: Tick) -> WebSocket {
        WebSocket { session: Session::new(transport, now), partial: None }
    }

    /// Processes bytes from the socket, and unmasks them in place. Returns the close reason if the session has ended.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> Option<CloseReason> {
        if self.partial.is_none() && self.session.fast_path_ping().is_some_and(|ping| is_single_frame(ping, input)) {
            self.session.on_ping(now, outgoing);
            return None;
        }
        let mut partial = self.partial.take();
        let fresh = &mut PartialMessage::default();
        let state = partial.as_deref_mut().unwrap_or(fresh);
        let (progress, reason) = Self::process(&mut self.session, state, input, now, session_config, outgoing);
        if reason.is_none() && !state.is_empty() {
            let begins = progress || partial.is_none();
            self.partial = partial.or_else(|| Some(Box::new(std::mem::take(fresh))));
            if let Some(partial) = &mut self.partial {
                partial.buffer.shrink_to_fit();
                if begins {
                    partial.since = now;
                    outgoing.timeout_changed = true;
                }
            }
        }
        reason
    }

    /// Returns the time since which a message is incomplete, and the bytes that it takes. Returns `None` between messages.
    pub fn unfinished(&self) -> Option<(Tick, usize)> {
        let partial = self.partial.as_deref()?;
        Some((partial.since, partial.buffer.capacity() + size_of::<PartialMessage>()))
    }

    /// Returns the time at which [`WebSocket::on_timeout`] is due, or `None` if there is no timeout.
    pub fn next_timeout(&self, session_config: &SessionConfig) -> Option<Tick> {
        let session = self.session.next_timeout(session_config);
        let Some(partial) = &self.partial else { return session };
        let message = partial.since.after(session_config.message_timeout);
        Some(session.map_or(message, |session| session.min(message)))
    }

    /// Returns the action for a timeout that has passed, or `None` if none has.
    pub fn on_timeout(&self, now: Tick, session_config: &SessionConfig) -> Option<TimeoutAction> {
        let is_late = |partial: &PartialMessage| now >= partial.since.after(session_config.message_timeout);
        let late = || TimeoutAction::Close(CloseReason::Protocol(MESSAGE_TIMED_OUT));
        self.session.on_timeout(now, session_config).or_else(|| self.partial.as_deref().is_some_and(is_late).then(late))
    }

    /// Processes input. Returns `true` if a message was completed, and the close reason if the session has ended.
    fn process(
        session: &mut Session,
        state: &mut PartialMessage,
        mut input: &mut [u8],
        now: Tick,
        session_config: &SessionConfig,
        outgoing: &mut Outgoing,
    ) -> (bool, Option<CloseReason>) {
        let mut progress = false;
        while let Some(event) = state.decoder.next(&mut input) {
            let (reason, code) = match event {
                Event::Data { payload, ends } => {
                    let total = state.buffer.len() + payload.len();
                    match session.receive(&mut state.buffer, payload, ends, now, session_config, outgoing) {
                        Some(reason) => (reason, code::NORMAL),
                        None => {
                            progress |= state.buffer.len() < total;
                            continue;
                        }
                    }
                }
                Event::Ping(payload) => {
                    write(Opcode::Pong, &payload, &mut outgoing.bytes);
                    continue;
                }
                Event::Pong => continue,
                Event::Close => (CloseReason::Client, code::NORMAL),
                Event::ProtocolError(code) => (CloseReason::Protocol(WEBSOCKET_VIOLATION), code),
            };
            write(Opcode::Close, &code.to_be_bytes(), &mut outgoing.bytes);
            return (progress, Some(reason));
        }
        (progress, None)
    }

    /// Ends the session from the server's side, and writes a Close frame.
    pub fn close(&mut self, reason: CloseReason, outgoing: &mut Outgoing) -> CloseReason {
        let reason = self.session.close(reason, outgoing);
        write(Opcode::Close, &code::NORMAL.to_be_bytes(), &mut outgoing.bytes);
        reason
    }
}

/// Returns `true` if `input` is exactly one frame with this message. A fast path for pings.
fn is_single_frame(message: &[u8], input: &[u8]) -> bool {
    const TEXT_OR_BINARY: [u8; 2] = [0x80 | Opcode::Text as u8, 0x80 | Opcode::Binary as u8];
    let Some(([first, second, mask @ ..], payload)) = input.split_first_chunk::<6>() else { return false };
    TEXT_OR_BINARY.contains(first)
        && usize::from(*second) == 0x80 | message.len()
        && payload.len() == message.len()
        && (0..message.len()).all(|at| payload[at] ^ mask[at & 3] == message[at])
}

const WEBSOCKET_VIOLATION: ProtocolError = ProtocolError("the WebSocket protocol was violated");
const MESSAGE_TIMED_OUT: ProtocolError = ProtocolError("a message was not completed in time");

impl PartialMessage {
    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.decoder.is_idle()
    }
}

#[cfg(test)]
mod tests;
