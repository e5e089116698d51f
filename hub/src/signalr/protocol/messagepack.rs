//! The MessagePack protocol (`signalr.md` 4.3), and the part of MessagePack that it needs. No I/O.

mod reader;
pub mod writer;

pub use reader::{Reader, decode_invocation};

use std::borrow::Cow;
use std::collections::HashSet;

use super::{ClientMessage, HEARTBEAT, ProtocolError, ServerMessage, argument, varint};

/// An encoded ping.
pub const PING: &[u8] = &[0x02, 0x91, 0x06];

/// Decodes a message of a client, without its length. Like the upstream service, it reads the items that it needs, and ignores
/// the length of the array.
///
/// # Errors
/// Returns the first violation of the protocol.
pub fn decode(body: &[u8]) -> Result<ClientMessage, ProtocolError> {
    let mut reader = Reader::new(body);
    let items = reader.array().ok_or(ProtocolError("the message is not an array, or is incomplete"))?;
    let number = reader.integer().and_then(|number| i32::try_from(number).ok());
    match number.ok_or(ProtocolError("the type is not a 32-bit integer"))? {
        number @ (1 | 4) => {
            headers(&mut reader)?;
            let id = reader.nil_or_lossy_text().ok_or(ProtocolError("the invocation id is not a string"))?;
            let id = id.filter(|id| !id.is_empty()).map(Cow::into_owned);
            if number == 4 && id.is_none() {
                return Err(ProtocolError("a stream call needs an invocation id"));
            }
            let target = reader.lossy_text().filter(|target| !target.is_empty());
            let target = target.ok_or(ProtocolError("the target is not a string"))?.into_owned();
            // The arguments are not read, because the hub has no methods (`decisions.md` 1).
            Ok(ClientMessage::Invocation { id, target })
        }
        2 | 5 => {
            headers(&mut reader)?;
            invocation_id(&mut reader)?;
            Ok(ClientMessage::Ignored)
        }
        3 => {
            headers(&mut reader)?;
            invocation_id(&mut reader)?;
            match reader.integer() {
                Some(1) => reader.nil_or_lossy_text().map(drop).ok_or(ProtocolError("the error is not a string"))?,
                Some(2) => {}
                Some(3) => reader.skip().ok_or(ProtocolError("the result is missing"))?,
                _ => return Err(ProtocolError("the result kind is unknown")),
            }
            Ok(ClientMessage::Ignored)
        }
        6 => Ok(ClientMessage::Ping),
        7 => {
            reader.nil_or_lossy_text().ok_or(ProtocolError("the error is not a string"))?;
            if items > 2 {
                reader.flag().ok_or(ProtocolError("allowReconnect is not a Boolean"))?;
            }
            Ok(ClientMessage::Close)
        }
        8 | 9 => {
            reader.integer().ok_or(ProtocolError("the sequence id is not a number"))?;
            Ok(ClientMessage::Ignored)
        }
        _ => Ok(ClientMessage::Ignored),
    }
}

fn headers(reader: &mut Reader<'_>) -> Result<(), ProtocolError> {
    let count = reader.map().ok_or(ProtocolError("the headers are not a map, or are incomplete"))?;
    let mut names = HashSet::new();
    for _ in 0..count {
        let name = reader.lossy_text().filter(|name| !name.is_empty());
        let name = name.ok_or(ProtocolError("the name of a header is not a string"))?;
        reader.lossy_text().filter(|value| !value.is_empty()).ok_or(ProtocolError("a header is not a string"))?;
        if !names.insert(name) {
            return Err(ProtocolError("a header is duplicated"));
        }
    }
    Ok(())
}

fn invocation_id(reader: &mut Reader<'_>) -> Result<(), ProtocolError> {
    let id = reader.lossy_text().filter(|id| !id.is_empty());
    id.map(drop).ok_or(ProtocolError("the invocation id is not a string"))
}

/// Encodes a message, with its length.
pub(super) fn encode(message: ServerMessage<'_>) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    match message {
        ServerMessage::Push { target, notification } => {
            body.extend_from_slice(&[0x96, 0x01, 0x80, 0xc0]);
            writer::text(target, &mut body);
            body.push(0x91);
            let argument = argument(notification);
            writer::map(argument.len(), &mut body);
            for (name, value) in &argument {
                writer::member(name, value, &mut body);
            }
            body.push(0x90);
        }
        ServerMessage::Heartbeat => {
            body.extend_from_slice(&[0x96, 0x01, 0x80, 0xc0]);
            writer::text(HEARTBEAT, &mut body);
            body.extend_from_slice(&[0x90, 0x90]);
        }
        ServerMessage::CompletionError { id, error } => {
            body.extend_from_slice(&[0x95, 0x03, 0x80]);
            writer::text(id, &mut body);
            body.push(0x01);
            writer::text(error, &mut body);
        }
        ServerMessage::Ping => return PING.to_vec(),
        ServerMessage::Close { error, allow_reconnect } => {
            body.extend_from_slice(&[0x93, 0x07]);
            match error {
                Some(error) => writer::text(error, &mut body),
                None => body.push(0xc0),
            }
            body.push(if allow_reconnect { 0xc3 } else { 0xc2 });
        }
    }
    let mut framed = Vec::with_capacity(body.len() + 5);
    varint::write(body.len(), &mut framed);
    framed.extend_from_slice(&body);
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: Option<&str>, target: &str) -> Result<ClientMessage, ProtocolError> {
        Ok(ClientMessage::Invocation { id: id.map(str::to_owned), target: target.to_owned() })
    }

    #[test]
    fn decode_invalid_utf8_text_has_replacement_characters() {
        assert_eq!(decode(b"\x96\x01\x80\xa17\xa2\xff\xfe\x90\x90"), call(Some("7"), "\u{fffd}\u{fffd}"));
        assert_eq!(decode(b"\x96\x01\x80\xa1\xd3\xa4Send\x91\xa1x\x90"), call(Some("\u{fffd}"), "Send"));
        let surrogate = "\u{fffd}\u{fffd}\u{fffd}";
        assert_eq!(decode(b"\x95\x01\x80\xc0\xa3\xed\xa0\xbd\x90"), call(None, surrogate));
        assert_eq!(decode(b"\x93\x05\x81\xa1\xff\xa1\xff\xa1x"), Ok(ClientMessage::Ignored));
        assert_eq!(decode(b"\x95\x03\x80\xa1x\x01\xa1\xff"), Ok(ClientMessage::Ignored));
        assert_eq!(decode(b"\x93\x07\xa1\xff\xc2"), Ok(ClientMessage::Close));
        let twice = decode(b"\x93\x05\x82\xa1\xff\xa1a\xa1\xfe\xa1a\xa1x");
        assert_eq!(twice, Err(ProtocolError("a header is duplicated")));
    }

    #[test]
    fn decode_ignores_announced_item_count() {
        assert_eq!(decode(b"\x90\x06"), Ok(ClientMessage::Ping));
        assert_eq!(decode(b"\x91\x07\xc0"), Ok(ClientMessage::Close));
        assert_eq!(decode(b"\x91\x09\x01"), Ok(ClientMessage::Ignored));
        assert_eq!(decode(b"\x93\x06\xc0\xc0"), Ok(ClientMessage::Ping));
        assert!(decode(b"\x92\x06").is_err(), "an item is missing");
        assert!(decode(b"\x93\x05\x82\xa1a\xa1b").is_err(), "a header is missing");
    }

    #[test]
    fn decode_item_of_another_type_is_an_error() {
        assert!(decode(b"\x91\xcf\0\0\0\x01\0\0\0\x06").is_err(), "no 32 bits");
        assert!(decode(b"\x91\xd3\xff\0\0\0\0\0\0\x06").is_err(), "no 32 bits");
        assert_eq!(decode(b"\x91\xcf\0\0\0\0\0\0\0\x06"), Ok(ClientMessage::Ping));
        assert!(decode(b"\x93\x07\xc0\xa0").is_err(), "allowReconnect is not a Boolean");
        assert_eq!(decode(b"\x92\x07\xa1x\xa0"), Ok(ClientMessage::Close), "it is not an item");
        assert!(decode(b"\x95\x03\x80\xa1x\x03").is_err(), "the result is missing");
        assert!(decode(b"\x94\x03\x80\xa1x\xc0").is_err(), "the kind of result is missing");
        assert_eq!(decode(b"\x95\x03\x80\xa1x\x01\xc0"), Ok(ClientMessage::Ignored), "an error may be nil");
    }
}
