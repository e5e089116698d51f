//! The first words of a connection, JSON whatever the protocol (`signalr.md` 3).

use serde::de::{IgnoredAny, MapAccess};
use serde_json::Value;

use super::json::object::{Members, read_object};
use super::{Protocol, json};

/// The answer that begins every connection.
pub const HANDSHAKE_OK: &[u8] = b"{}\x1e";

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not there in time, or too long.
    #[error("Handshake was canceled.")]
    Canceled(HandshakeAbort),
    /// No JSON object with the two members that it needs.
    #[error("An unexpected error occurred during connection handshake.")]
    Malformed,
    /// A protocol that the hub does not speak.
    #[error("The protocol '{0}' is not supported.")]
    Protocol(String),
    /// A protocol that is no text, where nothing else is carried.
    #[error(
        "Cannot use the '{0}' protocol on the current transport. The transport does not support 'Binary' transfer format."
    )]
    Transport(&'static str),
    /// A version from the future.
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    Version {
        /// What was asked for.
        version: i32,
        /// Of which protocol.
        protocol: &'static str,
    },
}

/// What ended a handshake before it was whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeAbort {
    /// The time for it ran out.
    Timeout,
    /// It got longer than a message may be.
    TooLarge,
}

impl HandshakeError {
    /// The value of the metric's `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            HandshakeError::Canceled(HandshakeAbort::Timeout) => "timeout",
            HandshakeError::Canceled(HandshakeAbort::TooLarge) => "too_large",
            HandshakeError::Malformed => "malformed",
            HandshakeError::Protocol(_) | HandshakeError::Transport(_) => "protocol",
            HandshakeError::Version { .. } => "version",
        }
    }

    /// The answer to the client.
    pub fn answer(&self) -> Vec<u8> {
        let mut answer = b"{\"error\":".to_vec();
        json::write_text(&self.to_string(), &mut answer);
        answer.extend_from_slice(b"}\x1e");
        answer
    }
}

/// The newest version of a protocol that is spoken.
const MAX_VERSION: i32 = 2;

/// What the official clients send, to the letter: it need not be parsed each time.
const COMMON_HANDSHAKES: [(&[u8], Protocol); 2] = [
    (br#"{"protocol":"messagepack","version":1}"#, Protocol::MessagePack),
    (br#"{"protocol":"json","version":1}"#, Protocol::Json),
];

/// Reads a handshake, without its 0x1e.
pub fn read(text: &[u8]) -> Result<Protocol, HandshakeError> {
    if let Some((_, protocol)) = COMMON_HANDSHAKES.iter().find(|(usual, _)| *usual == text) {
        return Ok(*protocol);
    }
    let mut request = Request::default();
    read_object(text, &mut request).map_err(|_| HandshakeError::Malformed)?;
    let (Some(name), Some(version)) = (request.protocol, request.version) else {
        return Err(HandshakeError::Malformed);
    };
    let protocol = Protocol::named(&name).ok_or(HandshakeError::Protocol(name))?;
    if version > MAX_VERSION {
        return Err(HandshakeError::Version { version, protocol: protocol.name() });
    }
    Ok(protocol)
}

/// The members that a handshake needs; it may have others.
#[derive(Default)]
struct Request {
    protocol: Option<String>,
    version: Option<i32>,
}

impl Members for Request {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, name: &[u8], object: &mut A) -> Result<(), A::Error> {
        match name {
            b"protocol" => self.protocol = Some(object.next_value()?),
            b"version" => self.version = Some(object.next_value()?),
            _ => _ = object.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

/// Whether a text without 0x1e is a whole JSON object: some clients leave the separator out.
pub fn is_complete_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, Value>>(text).is_ok()
}

/// Reads a server's answer, without its 0x1e, for our own client: the error in it, if there is one; nothing at all if it
/// is no answer.
pub fn parse_response(text: &[u8]) -> Option<Option<String>> {
    let Some(Value::Object(members)) = json::first_value(text) else { return None };
    Some(members.get("error").and_then(Value::as_str).map(str::to_owned))
}
