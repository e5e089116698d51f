//! Decodes the messages of clients. No I/O.

use std::collections::HashMap;

use serde::de::{Error, IgnoredAny, MapAccess};

use super::PING;
use super::object::{ReadMembers, read_object};
use crate::signalr::protocol::{ClientMessage, ProtocolError};

/// Decodes a message without its separator.
///
/// # Errors
/// Returns the first violation of the protocol.
pub fn decode(text: &[u8]) -> Result<ClientMessage, ProtocolError> {
    if text == &PING[..PING.len() - 1] {
        return Ok(ClientMessage::Ping);
    }
    let mut message = Message::default();
    match read_object(text, &mut message) {
        Ok(()) => message.classify(),
        // The upstream service has no open stream either. It ignores the whole message, even if the rest is malformed.
        Err(_) if message.is_stream_item => Ok(ClientMessage::Ignored),
        Err(_) => Err(ProtocolError("the message is not a JSON object, or a member has the wrong type")),
    }
}

/// The members of a message that the protocol knows. Each must have its type in every message, even if it has no meaning there.
#[derive(Default)]
struct Message {
    kind: Option<i32>,
    id: Option<String>,
    target: Option<String>,
    has_arguments: bool,
    has_error: bool,
    has_result: bool,
    sequence_id: Option<i64>,
    /// `true` if an item was read after the id of its stream. Later members are not read.
    is_stream_item: bool,
}

impl ReadMembers for Message {
    fn read_member<'de, A: MapAccess<'de>>(&mut self, name: &[u8], object: &mut A) -> Result<(), A::Error> {
        match name {
            b"type" => self.kind = Some(object.next_value()?),
            b"invocationId" => self.id = Some(object.next_value()?),
            b"target" => self.target = Some(object.next_value()?),
            b"arguments" => {
                object.next_value::<Vec<IgnoredAny>>()?;
                self.has_arguments = true;
            }
            b"error" => {
                object.next_value::<String>()?;
                self.has_error = true;
            }
            b"result" => {
                object.next_value::<IgnoredAny>()?;
                self.has_result = true;
            }
            b"item" => {
                object.next_value::<IgnoredAny>()?;
                self.is_stream_item = self.id.as_ref().is_some_and(|id| !id.is_empty());
                if self.is_stream_item {
                    return Err(A::Error::custom("the stream of the item is not open"));
                }
            }
            b"sequenceId" => self.sequence_id = Some(object.next_value()?),
            b"allowReconnect" => _ = object.next_value::<bool>()?,
            b"headers" => _ = object.next_value::<HashMap<String, String>>()?,
            b"streamIds" => _ = object.next_value::<Vec<String>>()?,
            _ => _ = object.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl Message {
    /// Returns the message by its type.
    ///
    /// # Errors
    /// Returns an error if a member is missing or excluded.
    fn classify(self) -> Result<ClientMessage, ProtocolError> {
        let has_id = self.id.as_ref().is_some_and(|id| !id.is_empty());
        match self.kind.ok_or(ProtocolError("the type is missing"))? {
            1 | 4 => match self.target {
                None => Err(ProtocolError("the target is missing")),
                Some(_) if !self.has_arguments => Err(ProtocolError("the arguments are missing")),
                Some(target) => Ok(ClientMessage::Invocation { id: self.id.filter(|_| has_id), target }),
            },
            // An item after the id of its stream is handled by `decode`.
            2 => Err(ProtocolError("the item or the invocation id before it is missing")),
            3 if self.has_error && self.has_result => Err(ProtocolError("error and result exclude each other")),
            3 | 5 if !has_id => Err(ProtocolError("the invocation id is missing")),
            6 => Ok(ClientMessage::Ping),
            7 => Ok(ClientMessage::Close),
            8 | 9 if self.sequence_id.is_none() => Err(ProtocolError("the sequence id is missing")),
            _ => Ok(ClientMessage::Ignored),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_member_of_another_type_is_an_error_in_every_message() {
        for member in [
            r#""allowReconnect":1"#,
            r#""allowReconnect":null"#,
            r#""error":null"#,
            r#""target":7"#,
            r#""invocationId":7"#,
            r#""arguments":{}"#,
            r#""headers":{"a":1}"#,
            r#""streamIds":[null]"#,
            r#""sequenceId":1.0"#,
            r#""type":"7""#,
            r#""type":7.0"#,
            r#""type":2147483648"#,
        ] {
            for text in [format!(r#"{{{member},"type":7}}"#), format!(r#"{{"type":7,{member}}}"#)] {
                assert!(decode(text.as_bytes()).is_err(), "{text}");
            }
        }
        assert_eq!(decode(br#"{"type":7,"allowReconnect":false,"allowreconnect":1}"#), Ok(ClientMessage::Close));
        assert_eq!(decode(b"{\"\xff\":\"\xff\\ud800\",\"type\":6}"), Ok(ClientMessage::Ping));
    }

    #[test]
    fn decode_stream_item_before_its_id_is_an_error() {
        for text in [
            r#"{"type":2,"invocationId":"9","item":5}"#,
            r#"{"invocationId":"9","item":5}"#,
            r#"{"type":8,"invocationId":"9","item":5}"#,
            r#"{"invocationId":"9","item":5,"type":"#,
        ] {
            assert_eq!(decode(text.as_bytes()), Ok(ClientMessage::Ignored), "{text}");
        }
        for text in [
            r#"{"type":2,"item":5,"invocationId":"9"}"#,
            r#"{"type":2,"invocationId":"","item":5}"#,
            r#"{"type":2,"invocationId":"9"}"#,
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
