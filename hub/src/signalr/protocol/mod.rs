//! The encoding of SignalR messages (`signalr.md` 3 and 4). No I/O.

mod framing;
pub mod handshake;
pub mod json;
pub mod messagepack;
mod utf8;
pub mod varint;

pub use framing::split_message;
pub use utf8::Utf8;

use std::borrow::Cow;

use crate::notification::{Notification, Value};

/// A hub protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protocol {
    /// `json`: text, with 0x1e after each message.
    Json = 0,
    /// `messagepack`: binary, with the length before each message.
    MessagePack = 1,
}

impl Protocol {
    /// All protocols.
    pub const VARIANTS: [Protocol; 2] = [Protocol::Json, Protocol::MessagePack];

    /// Returns the protocol with a name, ignoring case, or `None` if it is unknown.
    pub fn from_name(name: &str) -> Option<Protocol> {
        Protocol::VARIANTS.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Returns the name in handshakes and in Redis.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Json => "json",
            Protocol::MessagePack => "messagepack",
        }
    }

    /// Returns the encoded ping.
    pub fn ping(self) -> &'static [u8] {
        match self {
            Protocol::Json => json::PING,
            Protocol::MessagePack => messagepack::PING,
        }
    }
}

/// A message of a client. The hub has no methods, so it distinguishes only these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// An invocation or a stream invocation. Each fails, because the hub has no methods.
    Invocation {
        /// The invocation id, which the completion repeats. Without one, there is no completion.
        id: Option<String>,
        /// The name of the method, as received.
        target: String,
    },
    /// A ping.
    Ping,
    /// The client closes the connection.
    Close,
    /// A message without an effect: a stream item, a completion, an acknowledgement, or an unknown type.
    Ignored,
}

/// A violation of the protocol by a client. The connection is closed with an error. The client does not get the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub &'static str);

/// A message that the hub sends.
#[derive(Debug, Clone, Copy)]
pub enum ServerMessage<'a> {
    /// A push: an invocation with one argument, `{Type, Payload, ContextId}`.
    Push {
        /// The client method.
        target: &'a str,
        /// The notification, which is the argument.
        notification: &'a Notification,
    },
    /// The heartbeat: an invocation without arguments.
    Heartbeat,
    /// The completion of an invocation that failed.
    CompletionError {
        /// The invocation id.
        id: &'a str,
        /// The error.
        error: &'a str,
    },
    /// A ping.
    Ping,
    /// The end of the connection.
    Close {
        /// The error, if there is one.
        error: Option<&'a str>,
        /// `true` if a client with automatic reconnect should reconnect.
        allow_reconnect: bool,
    },
}

/// The target of every push on the main hub.
pub const RECEIVE_MESSAGE: &str = "ReceiveMessage";

/// The target of the response to a login request on the anonymous hub. Clients expect this spelling.
pub const AUTH_REQUEST_RESPONSE: &str = "AuthRequestResponseRecieved";

/// The target of the heartbeat.
pub const HEARTBEAT: &str = "Heartbeat";

/// The error text of each Close with an error.
pub const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";

/// Encodes a message, with its framing.
pub fn encode(protocol: Protocol, message: ServerMessage<'_>) -> Vec<u8> {
    match protocol {
        Protocol::Json => json::encode(message),
        Protocol::MessagePack => messagepack::encode(message),
    }
}

/// Returns the error of each invocation (`signalr.md` 4.4).
pub fn unknown_method(target: &str) -> String {
    format!("Failed to invoke '{target}' due to an error on the server. HubException: Method does not exist.")
}

/// Returns the members of a push's argument, in the order in which they are written.
fn argument(notification: &Notification) -> [(&'static str, Cow<'_, Value>); 3] {
    let context_id = notification.context_id.clone().map_or(Value::Null, Value::String);
    [
        ("Type", Cow::Owned(Value::Number(notification.kind.into()))),
        ("Payload", Cow::Borrowed(&notification.payload)),
        ("ContextId", Cow::Owned(context_id)),
    ]
}
