//! The transports of clients (`signalr.md` 2).

use crate::signalr::protocol::Protocol;

/// A transport. The variants are in the order in which a negotiation offers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// A WebSocket.
    WebSockets = 0,
    /// A streaming response. The client sends its messages in separate requests.
    ServerSentEvents = 1,
    /// A series of requests, each of which waits for messages.
    LongPolling = 2,
}

impl Transport {
    /// All transports.
    pub const VARIANTS: [Transport; 3] = [Transport::WebSockets, Transport::ServerSentEvents, Transport::LongPolling];

    /// Returns the name in a negotiation.
    pub fn name(self) -> &'static str {
        match self {
            Transport::WebSockets => "WebSockets",
            Transport::ServerSentEvents => "ServerSentEvents",
            Transport::LongPolling => "LongPolling",
        }
    }

    /// Returns the value of the metric's `transport` label.
    pub fn label(self) -> &'static str {
        match self {
            Transport::WebSockets => "websocket",
            Transport::ServerSentEvents => "sse",
            Transport::LongPolling => "long_polling",
        }
    }

    /// Returns `true` if the transport can carry binary messages.
    pub fn is_binary(self) -> bool {
        self != Transport::ServerSentEvents
    }

    /// Returns `true` if the transport can carry the messages of a protocol.
    pub fn supports(self, protocol: Protocol) -> bool {
        self.is_binary() || protocol == Protocol::Json
    }

    /// Returns `true` if the client's requests show that both sides are alive, so that the server sends no pings.
    pub fn has_inherent_keep_alive(self) -> bool {
        self == Transport::LongPolling
    }
}
