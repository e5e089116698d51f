//! A SignalR session as a state machine. Its inputs are bytes and the time, its outputs messages and a close reason. No I/O.
//!
//! The transport passes the client's bytes to the session, and frames and writes the messages of its [`SessionSink`].

mod close_reason;
mod session_config;
mod session_sink;
mod timeout_action;

pub use close_reason::CloseReason;
pub use session_config::SessionConfig;
pub use session_sink::SessionSink;
pub use timeout_action::TimeoutAction;

use crate::signalr::protocol::handshake::{self, HandshakeAbort, HandshakeError};
use crate::signalr::protocol::{self, CLOSED_WITH_ERROR, ClientMessage, Protocol, ServerMessage, json, messagepack};
use crate::signalr::{Tick, Transport};

/// The most attempts to parse a handshake without its separator. Later, the separator is required.
const MAX_UNTERMINATED_ATTEMPTS: u8 = 8;

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    Handshake,
    Open(Protocol),
    Ended,
}

/// The session of one client.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    state: SessionState,
    /// `true` after the first ping of the client. The client timeout applies then.
    client_pings: bool,
    /// The number of attempts to parse a handshake without its separator.
    unterminated_attempts: u8,
    /// `true` if the handshake had no separator. One that follows is skipped.
    skip_separator: bool,
    last_received: Tick,
    /// During the handshake, the time at which the client was accepted.
    last_sent: Tick,
}

impl Session {
    /// Creates the session of a client that was just accepted.
    pub fn new(transport: Transport, now: Tick) -> Session {
        Session {
            transport,
            state: SessionState::Handshake,
            client_pings: false,
            unterminated_attempts: 0,
            skip_separator: false,
            last_received: now,
            last_sent: now,
        }
    }

    /// Returns the transport of the client.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns the protocol, or `None` during the handshake and after the end.
    pub fn protocol(&self) -> Option<Protocol> {
        match self.state {
            SessionState::Open(protocol) => Some(protocol),
            SessionState::Handshake | SessionState::Ended => None,
        }
    }

    /// Returns the time at which bytes were last received.
    pub fn last_received(&self) -> Tick {
        self.last_received
    }

    /// Records that bytes were sent, which delays the next ping. Has no effect on the handshake's timeout.
    pub fn sent(&mut self, now: Tick) {
        if self.state != SessionState::Handshake {
            self.last_sent = now;
        }
    }

    /// Processes bytes of the client. `buffer` keeps the bytes of an incomplete message. `ends` is `true` at the end of a
    /// message of the transport, which completes a handshake without its separator. Returns the close reason if the session
    /// has ended.
    pub fn receive(
        &mut self,
        buffer: &mut Vec<u8>,
        bytes: &[u8],
        ends: bool,
        now: Tick,
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> Option<CloseReason> {
        self.last_received = now;
        if buffer.is_empty() {
            let (used, reason) = self.consume(bytes, ends, session_config, sink);
            buffer.extend_from_slice(&bytes[used..]);
            return reason;
        }
        buffer.extend_from_slice(bytes);
        if !self.may_complete(buffer, bytes, session_config, ends) {
            return None;
        }
        let taken = std::mem::take(buffer);
        let (used, reason) = self.consume(&taken, ends, session_config, sink);
        *buffer = taken;
        buffer.drain(..used);
        reason
    }

    /// Returns `true` if the new bytes, which are the end of `buffer`, can complete a message. Avoids that the buffer is
    /// searched again for each small part.
    fn may_complete(&self, buffer: &[u8], new: &[u8], session_config: &SessionConfig, ends: bool) -> bool {
        match self.state {
            SessionState::Open(Protocol::MessagePack) | SessionState::Ended => true,
            SessionState::Open(Protocol::Json) => {
                memchr::memchr(json::SEPARATOR, new).is_some()
                    || buffer.len() >= session_config.maximum_receive_message_size
            }
            SessionState::Handshake => {
                (ends && self.unterminated_attempts < MAX_UNTERMINATED_ATTEMPTS)
                    || new.contains(&json::SEPARATOR)
                    || buffer.len() >= session_config.maximum_receive_message_size
            }
        }
    }

    /// Processes complete messages. Returns the number of bytes that they took, and the close reason if the session has ended.
    fn consume(
        &mut self,
        bytes: &[u8],
        ends: bool,
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> (usize, Option<CloseReason>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let step = match self.state {
                SessionState::Ended => return (bytes.len(), None),
                _ if rest.is_empty() => return (used, None),
                SessionState::Handshake => self.process_handshake(rest, ends, session_config, sink),
                SessionState::Open(_) if self.skip_separator => {
                    self.skip_separator = false;
                    Ok(Some(usize::from(rest[0] == json::SEPARATOR)))
                }
                SessionState::Open(protocol) => self.process_message(protocol, rest, session_config, sink),
            };
            match step {
                Ok(Some(taken)) => used += taken,
                Ok(None) => return (used, None),
                Err(reason) => return (bytes.len(), Some(self.close(reason, sink))),
            }
        }
    }

    /// Processes the handshake. Returns the number of bytes that it took, or `None` while it is incomplete.
    fn process_handshake(
        &mut self,
        bytes: &[u8],
        ends: bool,
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> Result<Option<usize>, CloseReason> {
        // A handshake is framed like JSON messages, for each protocol.
        let message = protocol::split_message(Protocol::Json, bytes, session_config.maximum_receive_message_size)
            .map_err(|_| CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::TooLarge)))?;
        let (text, taken) = match message {
            Some(message) => message,
            None if ends && self.unterminated_attempts < MAX_UNTERMINATED_ATTEMPTS => {
                self.unterminated_attempts += 1;
                if !handshake::is_complete_json(bytes) {
                    return Ok(None);
                }
                self.skip_separator = true;
                (bytes, bytes.len())
            }
            None => return Ok(None),
        };
        let protocol = handshake::read(text).map_err(CloseReason::Handshake)?;
        if !self.transport.supports(protocol) {
            return Err(CloseReason::Handshake(HandshakeError::Transport(protocol.name())));
        }
        self.state = SessionState::Open(protocol);
        sink.handshake_complete(protocol);
        sink.write_message(protocol, handshake::HANDSHAKE_OK);
        Ok(Some(taken))
    }

    /// Processes one message. Returns the number of bytes that it took, or `None` while it is incomplete.
    fn process_message(
        &mut self,
        protocol: Protocol,
        bytes: &[u8],
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> Result<Option<usize>, CloseReason> {
        let Some((body, taken)) = protocol::split_message(protocol, bytes, session_config.maximum_receive_message_size)
            .map_err(CloseReason::Protocol)?
        else {
            return Ok(None);
        };
        let message = match protocol {
            Protocol::Json => json::decode(body),
            Protocol::MessagePack => messagepack::decode(body),
        };
        match message.map_err(CloseReason::Protocol)? {
            ClientMessage::Invocation { id: Some(id), target } => {
                let failed = ServerMessage::CompletionError { id: &id, error: &protocol::unknown_method(&target) };
                sink.write_message(protocol, &protocol::encode(protocol, failed));
            }
            ClientMessage::Invocation { id: None, .. } | ClientMessage::Ignored => {}
            ClientMessage::Ping => self.on_ping(self.last_received, sink),
            ClientMessage::Close => return Err(CloseReason::Client),
        }
        Ok(Some(taken))
    }

    /// Returns the ping of the session's protocol, or `None` where the next bytes cannot be a message.
    pub fn fast_path_ping(&self) -> Option<&'static [u8]> {
        self.protocol().filter(|_| !self.skip_separator).map(Protocol::ping)
    }

    /// Records a ping of the client. The client timeout applies after the first one.
    pub fn on_ping(&mut self, now: Tick, sink: &mut impl SessionSink) {
        self.last_received = now;
        if !self.client_pings {
            self.client_pings = true;
            sink.timeout_changed();
        }
    }

    /// Ends the session. Writes a Close message or the error of the handshake, if the reason has one. Returns the reason.
    pub fn close(&mut self, reason: CloseReason, sink: &mut impl SessionSink) -> CloseReason {
        if let Some(protocol) = self.protocol() {
            let close = match reason {
                CloseReason::Client => Some(ServerMessage::Close { error: None, allow_reconnect: false }),
                CloseReason::ServerShutdown => Some(ServerMessage::Close { error: None, allow_reconnect: true }),
                CloseReason::Timeout | CloseReason::Protocol(_) => {
                    Some(ServerMessage::Close { error: Some(CLOSED_WITH_ERROR), allow_reconnect: true })
                }
                CloseReason::PeerClosed
                | CloseReason::SlowConsumer
                | CloseReason::Reset
                | CloseReason::Handshake(_) => None,
            };
            if let Some(close) = close {
                sink.write_message(protocol, &protocol::encode(protocol, close));
            }
        } else if let CloseReason::Handshake(error) = &reason {
            sink.write_message(Protocol::Json, &error.response());
        }
        self.state = SessionState::Ended;
        reason
    }

    /// Returns the time at which [`Session::on_timeout`] is due, or `None` if there is no timeout.
    pub fn next_timeout(&self, session_config: &SessionConfig) -> Option<Tick> {
        match self.state {
            SessionState::Handshake => Some(self.last_sent.after(session_config.handshake_timeout)),
            SessionState::Open(_) => {
                let ping = self.last_sent.after(session_config.keep_alive_interval);
                let silence = self.last_received.after(session_config.client_timeout_interval);
                match (self.transport.has_inherent_keep_alive(), self.client_pings) {
                    (false, false) => Some(ping),
                    (false, true) => Some(ping.min(silence)),
                    (true, true) => Some(silence),
                    (true, false) => None,
                }
            }
            SessionState::Ended => None,
        }
    }

    /// Returns the action for a timeout that has passed, or `None` if none has.
    pub fn on_timeout(&self, now: Tick, session_config: &SessionConfig) -> Option<TimeoutAction> {
        match self.state {
            SessionState::Handshake if now >= self.last_sent.after(session_config.handshake_timeout) => {
                Some(TimeoutAction::Close(CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::Timeout))))
            }
            SessionState::Open(_)
                if self.client_pings && now >= self.last_received.after(session_config.client_timeout_interval) =>
            {
                Some(TimeoutAction::Close(CloseReason::Timeout))
            }
            SessionState::Open(protocol)
                if !self.transport.has_inherent_keep_alive()
                    && now >= self.last_sent.after(session_config.keep_alive_interval) =>
            {
                Some(TimeoutAction::SendPing(protocol))
            }
            SessionState::Handshake | SessionState::Open(_) | SessionState::Ended => None,
        }
    }
}

#[cfg(test)]
mod tests;
