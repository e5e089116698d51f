//! Message framing: length prefixes of MessagePack, separators of JSON.

use notification_hub::signalr::protocol::{self, CLOSED_WITH_ERROR, Protocol, ServerMessage, varint};
use serde_json::Value;

use super::session::run_open;
use crate::contract::{hex, text as member};

fn split(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, protocol::ProtocolError> {
    protocol::split_message(Protocol::MessagePack, bytes, usize::MAX)
}

pub(crate) fn frame(row: &Value) {
    let frame = hex(member(row, "frame_hex"));
    assert_eq!(split(&frame), Ok(Some((hex(member(row, "payload_hex")).as_slice(), frame.len()))));
}

pub(crate) fn value(row: &Value) {
    let bytes = hex(member(row, "varint_hex"));
    let value = row["value"].as_u64().expect("a value");
    assert_eq!(varint::read(&bytes), Ok(Some((value as u32, bytes.len()))));
    let mut written = Vec::new();
    varint::write(value as usize, &mut written);
    assert_eq!(written, bytes);
}

pub(crate) fn incomplete(row: &Value) {
    assert_eq!(split(&hex(member(row, "bytes_hex"))), Ok(None));
}

pub(crate) fn error(row: &Value) {
    let bytes = hex(member(row, "bytes_hex"));
    assert_eq!(split(&bytes).map_err(|error| error.to_string()), Err(member(row, "error").to_owned()));
}

/// Checks that these bytes, which the JavaScript client rejects, are not whole messages, and that the hub writes whole ones.
pub(crate) fn never_sent(row: &Value) {
    let is_whole = |bytes: &[u8]| {
        let mut rest = bytes;
        while let Ok(Some((_, taken))) = split(rest) {
            rest = &rest[taken..];
        }
        rest.is_empty()
    };
    assert!(!is_whole(&hex(member(row, "bytes_hex"))));
    let close = ServerMessage::Close { error: Some(CLOSED_WITH_ERROR), allow_reconnect: true };
    for message in [ServerMessage::Ping, ServerMessage::Heartbeat, close] {
        assert!(is_whole(&protocol::encode(Protocol::MessagePack, message)));
    }
}

/// Checks that a text is split into the expected parts, and that a session answers one invocation in the place of each part.
pub(crate) fn text(row: &Value) {
    let mut rest = member(row, "input").as_bytes();
    let mut messages = Vec::new();
    while let Ok(Some((body, taken))) = protocol::split_message(Protocol::Json, rest, usize::MAX) {
        messages.push(body.to_vec());
        rest = &rest[taken..];
    }
    let expected: Vec<&str> = row["messages"].as_array().expect("messages").iter().filter_map(Value::as_str).collect();
    assert_eq!(messages, expected.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>());
    assert_eq!(rest, member(row, "rest").as_bytes());

    let invocation = |id: &str| format!("{{\"type\":1,\"invocationId\":\"{id}\",\"target\":\"T\",\"arguments\":[]}}");
    let input =
        expected.iter().fold(member(row, "input").to_owned(), |input, id| input.replacen(id, &invocation(id), 1));
    let (sent, close_reason, buffered) = run_open(Protocol::Json, input.as_bytes());
    assert_eq!((sent.len(), close_reason, buffered.as_slice()), (expected.len(), None, rest));
}
