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
use crate::protocol::handshake::{self, Cancellation, HandshakeError};
use crate::protocol::{
    self, CLOSED_WITH_ERROR, ClientMessage, Protocol, ProtocolError, ServerMessage, json, messagepack,
};

/// The times and sizes that a session lives by, in ticks and bytes.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
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

impl Terms {
    /// Returns the terms of a hub's clients.
    pub fn on(&self, hub: Hub) -> Terms {
        match hub {
            Hub::Main => *self,
            Hub::Anonymous => Terms { max_message: self.max_message.min(MAX_ANONYMOUS_MESSAGE), ..*self },
        }
    }
}

/// How often that is tried at the most: a handshake in more messages than this needs its separator.
const MOST_JUDGEMENTS: u8 = 8;

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Handshake,
    Open(Protocol),
    Ended,
}

/// The state of one client.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    phase: Phase,
    /// The client has pinged: from then on its silence counts.
    pings: bool,
    /// How often it was tried whether a handshake is whole without its separator.
    judgements: u8,
    /// The handshake came without its separator: one that comes first after it belongs to it.
    separator_due: bool,
    last_received: Tick,
    /// Until the handshake is done: when the client arrived.
    last_sent: Tick,
}

/// Why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The client said so.
    Client,
    /// The client hung up without a word.
    HungUp,
    /// It sent nothing for too long.
    Timeout,
    /// It broke the protocol.
    Protocol(ProtocolError),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// It took too little for too long.
    Slow,
    /// The hub shuts down.
    Drain,
    /// The connection broke.
    Reset,
}

impl Ending {
    /// The value of `closes_total{reason}`.
    pub fn label(&self) -> &'static str {
        match self {
            Ending::Client | Ending::HungUp => "client",
            Ending::Timeout => "timeout",
            Ending::Protocol(_) => "protocol_error",
            Ending::Handshake(_) => "handshake",
            Ending::Slow => "slow",
            Ending::Drain => "drain",
            Ending::Reset => "reset",
        }
    }
}

/// What a session says to its client; the transport wraps and carries it.
pub trait Output {
    /// The handshake is good: the client joins its groups before `{}` reaches it.
    fn opened(&mut self, protocol: Protocol);
    /// From now on the client's silence counts: the session has to be looked at earlier than it said before.
    fn timed(&mut self) {}
    /// One whole message in the connection's protocol.
    fn message(&mut self, protocol: Protocol, body: &[u8]);
}

impl Session {
    /// A client that has just arrived.
    pub fn new(transport: Transport, now: Tick) -> Session {
        Session {
            transport,
            phase: Phase::Handshake,
            pings: false,
            judgements: 0,
            separator_due: false,
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
        match self.phase {
            Phase::Open(protocol) => Some(protocol),
            Phase::Handshake | Phase::Ended => None,
        }
    }

    /// When bytes of the client's last came.
    pub fn last_received(&self) -> Tick {
        self.last_received
    }

    /// Notes that something was sent, which puts the next ping off. The handshake's time runs on whatever a transport
    /// answers meanwhile.
    pub fn sent(&mut self, now: Tick) {
        if self.phase != Phase::Handshake {
            self.last_sent = now;
        }
    }

    /// Takes bytes that the client sent. `held` keeps what is no whole message yet; `ends` says that the transport's
    /// message ends here, which completes a handshake that lacks its separator.
    pub fn receive(
        &mut self,
        held: &mut Vec<u8>,
        bytes: &[u8],
        ends: bool,
        now: Tick,
        terms: &Terms,
        output: &mut impl Output,
    ) -> Option<Ending> {
        self.last_received = now;
        if held.is_empty() {
            let (used, ending) = self.consume(bytes, ends, terms, output);
            held.extend_from_slice(&bytes[used..]);
            return ending;
        }
        held.extend_from_slice(bytes);
        if !self.may_complete(held, bytes, terms, ends) {
            return None;
        }
        let taken = std::mem::take(held);
        let (used, ending) = self.consume(&taken, ends, terms, output);
        *held = taken;
        held.drain(..used);
        ending
    }

    /// Whether new bytes behind `held` can make a message whole: what was looked through before is not again, however small
    /// the pieces.
    fn may_complete(&self, held: &[u8], new: &[u8], terms: &Terms, ends: bool) -> bool {
        match self.phase {
            Phase::Open(Protocol::MessagePack) | Phase::Ended => true,
            Phase::Open(Protocol::Json) => {
                memchr::memchr(json::SEPARATOR, new).is_some() || held.len() >= terms.max_message
            }
            Phase::Handshake => {
                (ends && self.judgements < MOST_JUDGEMENTS)
                    || new.contains(&json::SEPARATOR)
                    || held.len() >= terms.max_message
            }
        }
    }

    /// Works through whole messages: how many bytes they took, and whether one of them ended the session.
    fn consume(
        &mut self,
        bytes: &[u8],
        ends: bool,
        terms: &Terms,
        output: &mut impl Output,
    ) -> (usize, Option<Ending>) {
        let mut used = 0;
        loop {
            let rest = &bytes[used..];
            let step = match self.phase {
                Phase::Ended => return (bytes.len(), None),
                _ if rest.is_empty() => return (used, None),
                Phase::Handshake => self.shake_hands(rest, ends, terms, output),
                Phase::Open(_) if self.separator_due => {
                    self.separator_due = false;
                    Ok(Some(usize::from(rest[0] == json::SEPARATOR)))
                }
                Phase::Open(protocol) => self.hear(protocol, rest, terms, output),
            };
            match step {
                Ok(Some(taken)) => used += taken,
                Ok(None) => return (used, None),
                Err(ending) => return (bytes.len(), Some(self.end(ending, output))),
            }
        }
    }

    /// Reads the handshake: how many bytes it took, or nothing while it is not whole.
    fn shake_hands(
        &mut self,
        bytes: &[u8],
        ends: bool,
        terms: &Terms,
        output: &mut impl Output,
    ) -> Result<Option<usize>, Ending> {
        // A handshake is framed as JSON's messages are, whatever protocol it asks for.
        let whole = protocol::split(Protocol::Json, bytes, terms.max_message)
            .map_err(|_| Ending::Handshake(HandshakeError::Canceled(Cancellation::TooLarge)))?;
        let (text, taken) = match whole {
            Some(whole) => whole,
            None if ends && self.judgements < MOST_JUDGEMENTS => {
                self.judgements += 1;
                if !handshake::is_whole(bytes) {
                    return Ok(None);
                }
                self.separator_due = true;
                (bytes, bytes.len())
            }
            None => return Ok(None),
        };
        let protocol = handshake::read(text).map_err(Ending::Handshake)?;
        if !self.transport.carries(protocol) {
            return Err(Ending::Handshake(HandshakeError::Transport(protocol.name())));
        }
        self.phase = Phase::Open(protocol);
        output.opened(protocol);
        output.message(protocol, handshake::ACCEPTED);
        Ok(Some(taken))
    }

    /// Reads one message: how many bytes it took, or nothing while it is not whole.
    fn hear(
        &mut self,
        protocol: Protocol,
        bytes: &[u8],
        terms: &Terms,
        output: &mut impl Output,
    ) -> Result<Option<usize>, Ending> {
        let Some((body, taken)) = protocol::split(protocol, bytes, terms.max_message).map_err(Ending::Protocol)? else {
            return Ok(None);
        };
        let message = match protocol {
            Protocol::Json => json::decode(body),
            Protocol::MessagePack => messagepack::decode(body),
        };
        match message.map_err(Ending::Protocol)? {
            ClientMessage::Invocation { id: Some(id), target } => {
                let failed = ServerMessage::Failed { id: &id, error: &protocol::unknown_method(&target) };
                output.message(protocol, &protocol::encode(protocol, failed));
            }
            ClientMessage::Invocation { id: None, .. } | ClientMessage::Ignored => {}
            ClientMessage::Ping => self.pinged(self.last_received, output),
            ClientMessage::Close => return Err(Ending::Client),
        }
        Ok(Some(taken))
    }

    /// The ping of the client's protocol, where the next bytes may be a message.
    pub fn expects_ping(&self) -> Option<&'static [u8]> {
        self.protocol().filter(|_| !self.separator_due).map(ping)
    }

    /// The client has pinged.
    pub fn pinged(&mut self, now: Tick, output: &mut impl Output) {
        self.last_received = now;
        if !self.pings {
            self.pings = true;
            output.timed();
        }
    }

    /// Ends the session and says so to the client, where it can still be told.
    pub fn end(&mut self, ending: Ending, output: &mut impl Output) -> Ending {
        if let Some(protocol) = self.protocol() {
            let close = match ending {
                Ending::Client => Some(ServerMessage::Close { error: None, allow_reconnect: false }),
                Ending::Drain => Some(ServerMessage::Close { error: None, allow_reconnect: true }),
                Ending::Timeout | Ending::Protocol(_) => {
                    Some(ServerMessage::Close { error: Some(CLOSED_WITH_ERROR), allow_reconnect: true })
                }
                Ending::HungUp | Ending::Slow | Ending::Reset | Ending::Handshake(_) => None,
            };
            if let Some(close) = close {
                output.message(protocol, &protocol::encode(protocol, close));
            }
        } else if let Ending::Handshake(error) = &ending {
            output.message(Protocol::Json, &error.answer());
        }
        self.phase = Phase::Ended;
        ending
    }

    /// When the session has to be looked at again; nothing for one that has ended.
    pub fn due(&self, terms: &Terms) -> Option<Tick> {
        match self.phase {
            Phase::Handshake => Some(self.last_sent.after(terms.handshake_timeout)),
            Phase::Open(_) => {
                let ping = self.last_sent.after(terms.keep_alive);
                let silence = self.last_received.after(terms.client_timeout);
                match (self.transport.is_self_evident(), self.pings) {
                    (false, false) => Some(ping),
                    (false, true) => Some(ping.min(silence)),
                    (true, true) => Some(silence),
                    (true, false) => None,
                }
            }
            Phase::Ended => None,
        }
    }

    /// Looks at the clock.
    pub fn overdue(&self, now: Tick, terms: &Terms) -> Option<Overdue> {
        match self.phase {
            Phase::Handshake if now >= self.last_sent.after(terms.handshake_timeout) => {
                Some(Overdue::End(Ending::Handshake(HandshakeError::Canceled(Cancellation::Timeout))))
            }
            Phase::Open(_) if self.pings && now >= self.last_received.after(terms.client_timeout) => {
                Some(Overdue::End(Ending::Timeout))
            }
            Phase::Open(protocol)
                if !self.transport.is_self_evident() && now >= self.last_sent.after(terms.keep_alive) =>
            {
                Some(Overdue::Ping(protocol))
            }
            Phase::Handshake | Phase::Open(_) | Phase::Ended => None,
        }
    }
}

/// What it is high time for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overdue {
    /// To show the client that the hub is alive, in its protocol.
    Ping(Protocol),
    /// To end the session.
    End(Ending),
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
