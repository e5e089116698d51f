//! The SignalR codecs (`signalr.md` 3 and 4). No I/O: bytes to messages and messages to bytes, no connection, no clock.

mod framing;
pub mod handshake;
pub mod json;
pub mod messagepack;
mod utf8;
pub mod varint;

pub use framing::split;
pub use utf8::Utf8;

use std::borrow::Cow;

use crate::notification::{Notification, Value};

/// A hub protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// `json`: text, each message ended by 0x1e.
    Json = 0,
    /// `messagepack`: binary, each message behind its length.
    MessagePack = 1,
}

impl Protocol {
    /// Both, by number.
    pub const VARIANTS: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

    /// The protocol that a handshake names; case does not matter.
    pub fn named(name: &str) -> Option<Protocol> {
        Protocol::VARIANTS.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// The name in a handshake and in Redis.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Json => "json",
            Protocol::MessagePack => "messagepack",
        }
    }
}

/// What a client says, as far as a hub without methods has to tell it apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// A call, of whatever kind: there is no method, so only who asks for an answer matters.
    Invocation {
        /// The id that the answer has to carry; without one there is no answer.
        id: Option<String>,
        /// The method's name as the client spelled it.
        target: String,
    },
    /// A sign of life.
    Ping,
    /// The client goes.
    Close,
    /// A message that changes nothing here: stream items, completions, acknowledgements, unknown types.
    Ignored,
}

/// A message that breaks the protocol: the connection is closed with an error, whose text the client never sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub &'static str);

/// A message that the hub sends.
#[derive(Debug, Clone, Copy)]
pub enum ServerMessage<'a> {
    /// A push: one argument, `{Type, Payload, ContextId}`.
    Push {
        /// The method that the client listens to.
        target: &'a str,
        /// What it gets.
        notification: &'a Notification,
    },
    /// The application's own sign of life: no argument.
    Heartbeat,
    /// The answer to a call: it failed.
    CompletionError {
        /// The call's id.
        id: &'a str,
        /// Why.
        error: &'a str,
    },
    /// The keep-alive.
    Ping,
    /// The end.
    Close {
        /// What went wrong, if anything did.
        error: Option<&'a str>,
        /// Whether a client with automatic reconnect should come back.
        allow_reconnect: bool,
    },
}

/// The target of every push on the main hub.
pub const RECEIVE_MESSAGE: &str = "ReceiveMessage";

/// The target of an answer to a login request on the anonymous hub, spelled as clients expect it.
pub const AUTH_REQUEST_RESPONSE: &str = "AuthRequestResponseRecieved";

/// The target of the application's own sign of life.
pub const HEARTBEAT: &str = "Heartbeat";

/// The only error text that a Close ever carries.
pub const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";

/// A whole message, its framing included.
pub fn encode(protocol: Protocol, message: ServerMessage<'_>) -> Vec<u8> {
    match protocol {
        Protocol::Json => json::encode(message),
        Protocol::MessagePack => messagepack::encode(message),
    }
}

/// The error that answers every call (`signalr.md` 4.4).
pub fn unknown_method(target: &str) -> String {
    format!("Failed to invoke '{target}' due to an error on the server. HubException: Method does not exist.")
}

/// What a push's one argument holds, in the order in which it is written.
fn argument(notification: &Notification) -> [(&'static str, Cow<'_, Value>); 3] {
    let context_id = notification.context_id.clone().map_or(Value::Null, Value::String);
    [
        ("Type", Cow::Owned(Value::Number(notification.kind.into()))),
        ("Payload", Cow::Borrowed(&notification.payload)),
        ("ContextId", Cow::Owned(context_id)),
    ]
}
