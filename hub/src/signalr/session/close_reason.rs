//! The reason why a session ended.

use crate::signalr::protocol::ProtocolError;
use crate::signalr::protocol::handshake::HandshakeError;

/// The reason why a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client sent a Close.
    Client,
    /// The client closed the connection without a Close.
    PeerClosed,
    /// The client sent nothing for longer than its timeout.
    Timeout,
    /// The client violated the protocol.
    Protocol(ProtocolError),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// The client read too slowly.
    SlowConsumer,
    /// The server shuts down.
    ServerShutdown,
    /// The connection failed.
    Reset,
}

impl CloseReason {
    /// Returns the value of `connections_closed_total{reason}`.
    pub fn label(&self) -> &'static str {
        match self {
            CloseReason::Client | CloseReason::PeerClosed => "client",
            CloseReason::Timeout => "timeout",
            CloseReason::Protocol(_) => "protocol_error",
            CloseReason::Handshake(_) => "handshake",
            CloseReason::SlowConsumer => "slow_consumer",
            CloseReason::ServerShutdown => "drain",
            CloseReason::Reset => "reset",
        }
    }
}
