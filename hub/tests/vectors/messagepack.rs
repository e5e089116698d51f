//! MessagePack messages.

use notification_hub::signalr::protocol::messagepack::{self, Reader, decode_invocation};
use notification_hub::signalr::protocol::{self, ClientMessage, Protocol};
use serde_json::{Map, Value};

use super::meaning::{Meaning, from_items};
use super::session::{assert_protocol_error, assert_unknown_method, run_open};
use crate::contract::{hex, text};

/// Returns the only message of a frame, without its length prefix.
fn body(frame: &[u8]) -> &[u8] {
    let (body, taken) =
        protocol::split_message(Protocol::MessagePack, frame, usize::MAX).expect("no error").expect("whole");
    assert_eq!(taken, frame.len());
    body
}

/// Checks that the hub decodes a message, that the client decodes an invocation, and that the hub encodes a message that it
/// sends.
pub(crate) fn message(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    let items = Reader::new(body(&frame)).value().expect("a value");
    if let Some(decoded) = row.get("decoded") {
        assert_eq!(items, plain(decoded));
    }
    if let Some(size) = row["framed_size"].as_u64() {
        assert_eq!(frame.len() as u64, size);
    }
    let meaning = from_items(&items);
    assert_eq!(messagepack::decode(body(&frame)), Ok(meaning.to_client_message()));
    // The arguments of one row are not an array. The hub does not read arguments.
    if meaning.number == Some(1) && items[4].is_array() {
        let invocation = decode_invocation(body(&frame)).expect("an invocation");
        assert_eq!(invocation, (meaning.target.expect("a target").to_owned(), items[4].clone()));
    }
    if let Some(message) = meaning.to_server_message().filter(|_| is_written(&meaning, &items, row)) {
        assert_eq!(protocol::encode(Protocol::MessagePack, message), frame);
    }
}

/// Returns whether the hub encodes the message to the bytes of this row. It writes every Close with three items, and some rows
/// are only for decoding.
fn is_written(meaning: &Meaning<'_>, items: &Value, row: &Value) -> bool {
    let parse_only = row["ops"].as_array().is_some_and(|ops| ops.iter().all(|op| op != "write"));
    let short = meaning.number == Some(7) && items.as_array().map(Vec::len) != Some(3);
    !parse_only && !short
}

/// Returns a decoded value as the hub's reader returns it, without the marks for MessagePack's types.
fn plain(value: &Value) -> Value {
    let Value::Object(marked) = value else {
        return match value {
            Value::Array(items) => items.iter().map(plain).collect(),
            other => other.clone(),
        };
    };
    let (mark, value) = marked.iter().next().expect("a mark");
    match mark.as_str() {
        "$map" => {
            let members = value.as_array().expect("members").iter();
            let member = |member: &Value| (member[0].as_str().expect("a name").to_owned(), plain(&member[1]));
            Value::Object(members.map(member).collect::<Map<_, _>>())
        }
        "$f32" | "$f64" => Value::from(value.as_f64()),
        "$bin" => Value::from(hex(value.as_str().expect("hex"))),
        "$ext" => {
            let seconds = i64::from_str_radix(text(&Value::Object(marked.clone()), "hex"), 16).expect("32 bits");
            Value::from(jiff::Timestamp::from_second(seconds).expect("a timestamp").to_string())
        }
        _ => panic!("an unknown mark: {mark}"),
    }
}

pub(crate) fn invalid(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    // The hub does not read what follows the target, because it has no methods.
    if text(row, "name") == "InvocationEmptyStringStreamId" {
        return assert_unknown_method(Protocol::MessagePack, &frame, Some("abc"), "T");
    }
    assert_protocol_error(Protocol::MessagePack, &frame);
}

pub(crate) fn binding_error(row: &Value) {
    assert_unknown_method(Protocol::MessagePack, &hex(text(row, "frame_hex")), Some("abc"), "xyz");
}

pub(crate) fn partial(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    assert_eq!(run_open(Protocol::MessagePack, &frame), (Vec::new(), None, frame));
}

/// Checks that the hub decodes the messages of the JavaScript client's tests, as pings or messages to ignore.
pub(crate) fn javascript_client_messages(row: &Value) {
    let frames = hex(text(row, "frame_hex"));
    let mut rest = frames.as_slice();
    while let Some((body, taken)) = protocol::split_message(Protocol::MessagePack, rest, usize::MAX).expect("no error")
    {
        let ping = row["decoded"]["type"] == 6;
        let expected = if ping { ClientMessage::Ping } else { ClientMessage::Ignored };
        assert_eq!(messagepack::decode(body), Ok(expected));
        rest = &rest[taken..];
    }
    assert!(rest.is_empty());
}

/// Checks that the client and the hub reject what the JavaScript client rejects.
pub(crate) fn never_sent(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    assert_eq!(decode_invocation(body(&frame)), None);
    assert!(messagepack::decode(body(&frame)).is_err());
}
