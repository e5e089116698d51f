//! The handshake of a session, which is JSON for each protocol (`signalr.md` 3). No I/O.

use serde::de::{IgnoredAny, MapAccess};
use serde_json::Value;

use super::json::object::{ReadMembers, read_object};
use super::{Protocol, json};

/// The response to a successful handshake.
pub const HANDSHAKE_OK: &[u8] = b"{}\x1e";

/// The reason why a handshake failed. Its text goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The handshake is late or too long.
    #[error("Handshake was canceled.")]
    Canceled(HandshakeAbort),
    /// The handshake is not a JSON object with the two required members.
    #[error("An unexpected error occurred during connection handshake.")]
    Malformed,
    /// The protocol is unknown.
    #[error("The protocol '{0}' is not supported.")]
    Protocol(String),
    /// The protocol is binary, and the transport carries text only.
    #[error(
        "Cannot use the '{0}' protocol on the current transport. The transport does not support 'Binary' transfer format."
    )]
    Transport(&'static str),
    /// The version of the protocol is not supported.
    #[error("The server does not support version {version} of the '{protocol}' protocol.")]
    Version {
        /// The requested version.
        version: i32,
        /// The protocol.
        protocol: &'static str,
    },
}

/// The reason why an incomplete handshake was canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeAbort {
    /// The handshake timed out.
    Timeout,
    /// The handshake is larger than a message may be.
    TooLarge,
}

impl HandshakeError {
    /// Returns the value of the metric's `reason` label.
    pub fn label(&self) -> &'static str {
        match self {
            HandshakeError::Canceled(HandshakeAbort::Timeout) => "timeout",
            HandshakeError::Canceled(HandshakeAbort::TooLarge) => "too_large",
            HandshakeError::Malformed => "malformed",
            HandshakeError::Protocol(_) | HandshakeError::Transport(_) => "protocol",
            HandshakeError::Version { .. } => "version",
        }
    }

    /// Returns the encoded response to the client.
    pub fn response(&self) -> Vec<u8> {
        let mut response = b"{\"error\":".to_vec();
        json::write_text(&self.to_string(), &mut response);
        response.extend_from_slice(b"}\x1e");
        response
    }
}

/// The newest supported version of the protocols.
const MAX_VERSION: i32 = 2;

/// The handshakes of the official clients, which are compared byte by byte instead of being parsed.
const COMMON_HANDSHAKES: [(&[u8], Protocol); 2] = [
    (br#"{"protocol":"messagepack","version":1}"#, Protocol::MessagePack),
    (br#"{"protocol":"json","version":1}"#, Protocol::Json),
];

/// Parses a handshake without its separator. Returns the requested protocol.
///
/// # Errors
/// Returns the reason why the handshake fails.
pub fn read(text: &[u8]) -> Result<Protocol, HandshakeError> {
    if let Some((_, protocol)) = COMMON_HANDSHAKES.iter().find(|(common, _)| *common == text) {
        return Ok(*protocol);
    }
    let mut request = Request::default();
    read_object(text, &mut request).map_err(|_| HandshakeError::Malformed)?;
    let (Some(name), Some(version)) = (request.protocol, request.version) else {
        return Err(HandshakeError::Malformed);
    };
    let protocol = Protocol::from_name(&name).ok_or(HandshakeError::Protocol(name))?;
    if version > MAX_VERSION {
        return Err(HandshakeError::Version { version, protocol: protocol.name() });
    }
    Ok(protocol)
}

/// The required members of a handshake. It may have others.
#[derive(Default)]
struct Request {
    protocol: Option<String>,
    version: Option<i32>,
}

impl ReadMembers for Request {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, name: &[u8], object: &mut A) -> Result<(), A::Error> {
        match name {
            b"protocol" => self.protocol = Some(object.next_value()?),
            b"version" => self.version = Some(object.next_value()?),
            _ => _ = object.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

/// Returns `true` if a text without a separator is a complete JSON object. Some clients omit the separator.
pub fn is_complete_json(text: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, Value>>(text).is_ok()
}

/// Parses the response of a server without its separator, for the client of this crate. Returns its error, if it has one.
/// Returns `None` if it is not a response.
pub fn parse_response(text: &[u8]) -> Option<Option<String>> {
    let Some(Value::Object(members)) = json::first_value(text) else { return None };
    Some(members.get("error").and_then(Value::as_str).map(str::to_owned))
}
