//! One client's life as a pure state machine: bytes and the clock in, messages and verdicts out (`signalr.md` 3 to 5).
//!
//! A session knows nothing of sockets: a transport feeds it the bytes that the client sent and carries what it says.

mod clock;
mod id;
mod transport;

pub use clock::{Clock, Tick};
pub use id::ConnectionId;
pub use transport::Transport;

use crate::delivery::Hub;
use crate::protocol::handshake::{self, HandshakeAbort, HandshakeError};
use crate::protocol::{
    self, CLOSED_WITH_ERROR, ClientMessage, Protocol, ProtocolError, ServerMessage, json, messagepack,
};

/// The times and sizes that a session lives by, in ticks and bytes.
#[derive(Debug, Clone, Copy)]
pub struct SessionConfig {
    /// How long the handshake may take.
    pub handshake_timeout: u32,
    /// After how long without output a ping is due.
    pub keep_alive: u32,
    /// After how long without input a client that has pinged is gone.
    pub client_timeout: u32,
    /// After how long without its end a message's beginning is waited for no more.
    pub message_timeout: u32,
    /// The largest message of a client, its framing included.
    pub max_message: usize,
}

/// The largest message on the anonymous hub, in bytes: whoever likes connects there, and has nothing to say but a handshake and pings.
const MAX_ANONYMOUS_MESSAGE: usize = 1024;

impl SessionConfig {
    /// Returns the terms of a hub's clients.
    pub fn for_hub(&self, hub: Hub) -> SessionConfig {
        match hub {
            Hub::Main => *self,
            Hub::Anonymous => SessionConfig { max_message: self.max_message.min(MAX_ANONYMOUS_MESSAGE), ..*self },
        }
    }
}

/// How often that is tried at the most: a handshake in more messages than this needs its separator.
const MAX_UNTERMINATED_ATTEMPTS: u8 = 8;

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SessionState {
    Handshake,
    Open(Protocol),
    Ended,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    state: SessionState,
    /// The client has pinged: from then on its silence counts.
    pings: bool,
    /// How often it was tried whether a handshake is whole without its separator.
    unterminated_attempts: u8,
    /// The handshake came without its separator: one that comes first after it belongs to it.
    skip_separator: bool,
    last_received: Tick,
    /// Until the handshake is done: when the client arrived.
    last_sent: Tick,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said so.
    Client,
    /// The client hung up without a word.
    PeerClosed,
    /// It sent nothing for too long.
    Timeout,
    /// It broke the protocol.
    Protocol(ProtocolError),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// It took too little for too long.
    SlowConsumer,
    /// The hub shuts down.
    ServerShutdown,
    /// The connection broke.
    Reset,
}

impl CloseReason {
    /// The value of `closes_total{reason}`.
    pub fn label(&self) -> &'static str {
        match self {
            CloseReason::Client | CloseReason::PeerClosed => "client",
            CloseReason::Timeout => "timeout",
            CloseReason::Protocol(_) => "protocol_error",
            CloseReason::Handshake(_) => "handshake",
            CloseReason::SlowConsumer => "slow",
            CloseReason::ServerShutdown => "drain",
            CloseReason::Reset => "reset",
        }
    }
}

/// What a session says to its client; the transport wraps and carries it.
pub trait SessionSink {
    /// The handshake is good: the client joins its groups before `{}` reaches it.
    fn handshake_complete(&mut self, protocol: Protocol);
    /// From now on the client's silence counts: the session has to be looked at earlier than it said before.
    fn timeout_changed(&mut self) {}
    /// One whole message in the connection's protocol.
    fn write_message(&mut self, protocol: Protocol, body: &[u8]);
}

impl Session {
    /// A client that has just arrived.
    pub fn new(transport: Transport, now: Tick) -> Session {
        Session {
            transport,
            state: SessionState::Handshake,
            pings: false,
            unterminated_attempts: 0,
            skip_separator: false,
            last_received: now,
            last_sent: now,
        }
    }

    /// By what the client is connected.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The protocol, once the handshake is done.
    pub fn protocol(&self) -> Option<Protocol> {
        match self.state {
            SessionState::Open(protocol) => Some(protocol),
            SessionState::Handshake | SessionState::Ended => None,
        }
    }

    /// When bytes of the client's last came.
    pub fn last_received(&self) -> Tick {
        self.last_received
    }

    /// Notes that something was sent, which puts the next ping off. The handshake's time runs on whatever a transport
    /// answers meanwhile.
    pub fn sent(&mut self, now: Tick) {
        if self.state != SessionState::Handshake {
            self.last_sent = now;
        }
    }

    /// Takes bytes that the client sent. `buffer` keeps what is no whole message yet; `ends` says that the transport's
    /// message ends here, which completes a handshake that lacks its separator.
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

    /// Whether new bytes behind `buffer` can make a message whole: what was looked through before is not again, however small
    /// the pieces.
    fn may_complete(&self, buffer: &[u8], new: &[u8], session_config: &SessionConfig, ends: bool) -> bool {
        match self.state {
            SessionState::Open(Protocol::MessagePack) | SessionState::Ended => true,
            SessionState::Open(Protocol::Json) => {
                memchr::memchr(json::SEPARATOR, new).is_some() || buffer.len() >= session_config.max_message
            }
            SessionState::Handshake => {
                (ends && self.unterminated_attempts < MAX_UNTERMINATED_ATTEMPTS)
                    || new.contains(&json::SEPARATOR)
                    || buffer.len() >= session_config.max_message
            }
        }
    }

    /// Works through whole messages: how many bytes they took, and whether one of them ended the session.
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

    /// Reads the handshake: how many bytes it took, or nothing while it is not whole.
    fn process_handshake(
        &mut self,
        bytes: &[u8],
        ends: bool,
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> Result<Option<usize>, CloseReason> {
        // A handshake is framed as JSON's messages are, whatever protocol it asks for.
        let whole = protocol::split(Protocol::Json, bytes, session_config.max_message)
            .map_err(|_| CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::TooLarge)))?;
        let (text, taken) = match whole {
            Some(whole) => whole,
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

    /// Reads one message: how many bytes it took, or nothing while it is not whole.
    fn process_message(
        &mut self,
        protocol: Protocol,
        bytes: &[u8],
        session_config: &SessionConfig,
        sink: &mut impl SessionSink,
    ) -> Result<Option<usize>, CloseReason> {
        let Some((body, taken)) =
            protocol::split(protocol, bytes, session_config.max_message).map_err(CloseReason::Protocol)?
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

    /// The ping of the client's protocol, where the next bytes may be a message.
    pub fn fast_path_ping(&self) -> Option<&'static [u8]> {
        self.protocol().filter(|_| !self.skip_separator).map(ping)
    }

    /// The client has pinged.
    pub fn on_ping(&mut self, now: Tick, sink: &mut impl SessionSink) {
        self.last_received = now;
        if !self.pings {
            self.pings = true;
            sink.timeout_changed();
        }
    }

    /// Ends the session and says so to the client, where it can still be told.
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
            sink.write_message(Protocol::Json, &error.answer());
        }
        self.state = SessionState::Ended;
        reason
    }

    /// When the session has to be looked at again; nothing for one that has ended.
    pub fn next_timeout(&self, session_config: &SessionConfig) -> Option<Tick> {
        match self.state {
            SessionState::Handshake => Some(self.last_sent.after(session_config.handshake_timeout)),
            SessionState::Open(_) => {
                let ping = self.last_sent.after(session_config.keep_alive);
                let silence = self.last_received.after(session_config.client_timeout);
                match (self.transport.has_inherent_keep_alive(), self.pings) {
                    (false, false) => Some(ping),
                    (false, true) => Some(ping.min(silence)),
                    (true, true) => Some(silence),
                    (true, false) => None,
                }
            }
            SessionState::Ended => None,
        }
    }

    /// Looks at the clock.
    pub fn on_timeout(&self, now: Tick, session_config: &SessionConfig) -> Option<TimeoutAction> {
        match self.state {
            SessionState::Handshake if now >= self.last_sent.after(session_config.handshake_timeout) => {
                Some(TimeoutAction::Close(CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::Timeout))))
            }
            SessionState::Open(_) if self.pings && now >= self.last_received.after(session_config.client_timeout) => {
                Some(TimeoutAction::Close(CloseReason::Timeout))
            }
            SessionState::Open(protocol)
                if !self.transport.has_inherent_keep_alive()
                    && now >= self.last_sent.after(session_config.keep_alive) =>
            {
                Some(TimeoutAction::SendPing(protocol))
            }
            SessionState::Handshake | SessionState::Open(_) | SessionState::Ended => None,
        }
    }
}

/// What it is high time for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeoutAction {
    /// To show the client that the hub is alive, in its protocol.
    SendPing(Protocol),
    /// To end the session.
    Close(CloseReason),
}

/// The keep-alive of a protocol, whole.
pub fn ping(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Json => json::PING,
        Protocol::MessagePack => messagepack::PING,
    }
}

#[cfg(test)]
mod tests;
