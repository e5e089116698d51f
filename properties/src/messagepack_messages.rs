//! Checks client messages in MessagePack.

use notification_hub::signalr::protocol::messagepack::{self, Reader};
use notification_hub::signalr::protocol::{ClientMessage, Protocol, split_message, varint};
use serde_json::Value;

use crate::json_messages::check_split;
use crate::splits::prefixes;

/// Checks messages and their split. A reader of whole values must agree with the decoder. Bytes behind a message must not
/// change it, and a truncated message is an error.
pub(crate) fn check(input: &[u8]) {
    check_split(Protocol::MessagePack, input);
    if let Ok(Some((length, taken))) = varint::read(input) {
        let mut written = Vec::new();
        varint::write(length as usize, &mut written);
        assert!(written.len() <= taken && varint::read(&written) == Ok(Some((length, written.len()))));
    }
    let mut rest = input;
    while let Ok(Some((body, taken))) = split_message(Protocol::MessagePack, rest, usize::MAX) {
        check_message(body);
        rest = &rest[taken..];
    }
    check_message(input);
}

fn check_message(body: &[u8]) {
    let meaning = messagepack::decode(body);
    if meaning.is_ok() {
        assert_eq!(messagepack::decode(&[body, b"\xc1"].concat()), meaning);
    }
    for prefix in prefixes(body) {
        let part = messagepack::decode(prefix);
        assert!(part.is_err() || part == meaning, "{part:?} of {} bytes, {meaning:?} of all", prefix.len());
    }
    let value = Reader::new(body).value();
    if value.is_some() {
        let followed = [body, b"\x2a"].concat();
        let (mut read, mut passed) = (Reader::new(&followed), Reader::new(&followed));
        assert!(read.value() == value && passed.skip().is_some() && passed.integer() == read.integer());
    }
    let Some(Value::Array(items)) = &value else { return };
    // Like ASP.NET Core, the decoder reads beyond the end of an array that is too short.
    if let (Ok(ClientMessage::Invocation { id, target }), 4..) = (&meaning, items.len()) {
        let written = items.get(2).and_then(Value::as_str).filter(|id| !id.is_empty());
        assert_eq!((id.as_deref(), Some(target.as_str())), (written, items.get(3).and_then(Value::as_str)));
    }
    // As the original does, the hub reads on behind an array that is too short.
    let Some(number) = items.first().map(Value::as_i64) else { return };
    match meaning {
        Ok(ClientMessage::Invocation { .. }) => assert!(matches!(number, Some(1 | 4))),
        Ok(ClientMessage::Ping) => assert_eq!(number, Some(6)),
        Ok(ClientMessage::Close) => assert_eq!(number, Some(7)),
        Ok(ClientMessage::Ignored) => assert!(!matches!(number, Some(1 | 4 | 6 | 7))),
        Err(_) => {}
    }
    // The decoder of our own client must not panic.
    let _ = messagepack::decode_invocation(body);
}
