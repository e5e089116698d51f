//! Reads the messages of clients. No I/O.

use std::collections::HashMap;

use serde::de::{Error, IgnoredAny, MapAccess};

use super::PING;
use super::object::{Members, read_object};
use crate::signalr::protocol::{ClientMessage, ProtocolError};

/// Reads one message, without its 0x1e.
pub fn decode(text: &[u8]) -> Result<ClientMessage, ProtocolError> {
    if text == &PING[..PING.len() - 1] {
        return Ok(ClientMessage::Ping);
    }
    let mut message = Message::default();
    match read_object(text, &mut message) {
        Ok(()) => message.meaning(),
        // The original knows no open stream either and passes over the whole message, even if it breaks off here.
        Err(_) if message.is_stream_item => Ok(ClientMessage::Ignored),
        Err(_) => Err(ProtocolError("the message is no JSON object, or a member is of the wrong type")),
    }
}

/// The members of a message that the protocol knows. Each has its type in every message, also where it has no meaning.
#[derive(Default)]
struct Message {
    kind: Option<i32>,
    id: Option<String>,
    target: Option<String>,
    has_arguments: bool,
    has_error: bool,
    has_result: bool,
    sequence_id: Option<i64>,
    /// Whether an item was read whose stream is named in front of it. Nothing behind it is read.
    is_stream_item: bool,
}

impl Members for Message {
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
                    return Err(A::Error::custom("an item of a stream that is not open"));
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
    /// Returns what the message means, or which member is missing or excluded.
    fn meaning(self) -> Result<ClientMessage, ProtocolError> {
        let has_id = self.id.as_ref().is_some_and(|id| !id.is_empty());
        match self.kind.ok_or(ProtocolError("there is no type"))? {
            1 | 4 => match self.target {
                None => Err(ProtocolError("there is no target")),
                Some(_) if !self.has_arguments => Err(ProtocolError("there are no arguments")),
                Some(target) => Ok(ClientMessage::Invocation { id: self.id.filter(|_| has_id), target }),
            },
            // An item that follows the name of its stream has been read already.
            2 => Err(ProtocolError("there is no item, or no invocation id in front of it")),
            3 if self.has_error && self.has_result => Err(ProtocolError("error and result exclude each other")),
            3 | 5 if !has_id => Err(ProtocolError("there is no invocation id")),
            6 => Ok(ClientMessage::Ping),
            7 => Ok(ClientMessage::Close),
            8 | 9 if self.sequence_id.is_none() => Err(ProtocolError("there is no sequence id")),
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
