//! The expected result of decoding a message, and the message that a hub encodes to the same bytes.

use notification_hub::signalr::protocol::{ClientMessage, ServerMessage};
use serde_json::Value;

/// The members of a message of either protocol that a hub without methods reads.
pub(crate) struct Meaning<'a> {
    pub(crate) number: Option<u64>,
    pub(crate) headers: bool,
    pub(crate) id: Option<&'a str>,
    pub(crate) target: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) allow_reconnect: bool,
}

impl<'a> Meaning<'a> {
    /// Returns the message as the hub must decode it.
    pub(crate) fn to_client_message(&self) -> ClientMessage {
        let own = |text: &str| text.to_owned();
        match self.number {
            Some(1 | 4) => ClientMessage::Invocation {
                id: self.id.filter(|id| !id.is_empty()).map(own),
                target: self.target.map(own).expect("a target"),
            },
            Some(6) => ClientMessage::Ping,
            Some(7) => ClientMessage::Close,
            _ => ClientMessage::Ignored,
        }
    }

    /// Returns the message as the hub encodes it, or `None` if the hub sends no such message. The hub sends no headers, no
    /// results, and invocations with other arguments only.
    pub(crate) fn to_server_message(&self) -> Option<ServerMessage<'a>> {
        match self.number {
            Some(3) if !self.headers => Some(ServerMessage::CompletionError { id: self.id?, error: self.error? }),
            Some(6) => Some(ServerMessage::Ping),
            Some(7) => Some(ServerMessage::Close { error: self.error, allow_reconnect: self.allow_reconnect }),
            _ => None,
        }
    }
}

/// Reads the members of a JSON message.
pub(crate) fn from_json(message: &Value) -> Meaning<'_> {
    Meaning {
        number: message["type"].as_u64(),
        headers: message.get("headers").is_some(),
        id: message["invocationId"].as_str(),
        target: message["target"].as_str(),
        error: message["error"].as_str(),
        allow_reconnect: message["allowReconnect"] == true,
    }
}

/// Reads the items of a MessagePack message.
pub(crate) fn from_items(items: &Value) -> Meaning<'_> {
    let number = items[0].as_u64();
    Meaning {
        number,
        headers: items[1].as_object().is_some_and(|headers| !headers.is_empty()),
        id: items[2].as_str(),
        target: items[3].as_str(),
        error: match number {
            Some(3) if items[3] == 1 => items[4].as_str(),
            Some(7) => items[1].as_str(),
            _ => None,
        },
        allow_reconnect: items[2] == true,
    }
}
