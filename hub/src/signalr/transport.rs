//! By what a client is connected (`signalr.md` 2).

use crate::signalr::protocol::Protocol;

/// The transports, in the order in which a negotiation offers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Transport {
    /// A WebSocket.
    WebSockets = 0,
    /// One answer that does not end; what the client says comes in requests of its own.
    ServerSentEvents = 1,
    /// Request after request, each of which waits for something to answer.
    LongPolling = 2,
}

impl Transport {
    /// All of them.
    pub const VARIANTS: [Transport; 3] = [Transport::WebSockets, Transport::ServerSentEvents, Transport::LongPolling];

    /// Its name in a negotiation.
    pub fn name(self) -> &'static str {
        match self {
            Transport::WebSockets => "WebSockets",
            Transport::ServerSentEvents => "ServerSentEvents",
            Transport::LongPolling => "LongPolling",
        }
    }

    /// The value of the metric's `transport` label.
    pub fn label(self) -> &'static str {
        match self {
            Transport::WebSockets => "websocket",
            Transport::ServerSentEvents => "sse",
            Transport::LongPolling => "long_polling",
        }
    }

    /// Whether it can carry what is no text.
    pub fn is_binary(self) -> bool {
        self != Transport::ServerSentEvents
    }

    /// Whether it can carry a protocol's messages.
    pub fn supports(self, protocol: Protocol) -> bool {
        self.is_binary() || protocol == Protocol::Json
    }

    /// Whether the client's own requests show that both sides are alive, so that nobody has to ping.
    pub fn has_inherent_keep_alive(self) -> bool {
        self == Transport::LongPolling
    }
}
