//! MessagePack messages.

use notification_hub::signalr::protocol::messagepack::{self, Reader, decode_invocation};
use notification_hub::signalr::protocol::{self, ClientMessage, Protocol};
use serde_json::{Map, Value};

use super::meaning::{Meaning, of_items};
use super::talk::{broken, talk, unknown};
use crate::contract::{hex, text};

/// The first message of a frame, without its length.
fn body(frame: &[u8]) -> &[u8] {
    let (body, taken) =
        protocol::split_message(Protocol::MessagePack, frame, usize::MAX).expect("no error").expect("whole");
    assert_eq!(taken, frame.len());
    body
}

/// A message that is understood, read by our client where it is one for clients, and written where a hub writes it.
pub(crate) fn message(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    let items = Reader::new(body(&frame)).value().expect("a value");
    if let Some(decoded) = row.get("decoded") {
        assert_eq!(items, plain(decoded));
    }
    if let Some(size) = row["framed_size"].as_u64() {
        assert_eq!(frame.len() as u64, size);
    }
    let meaning = of_items(&items);
    assert_eq!(messagepack::decode(body(&frame)), Ok(meaning.understood()));
    // The arguments of one row of the sizes are no array, which a hub does not look at.
    if meaning.number == Some(1) && items[4].is_array() {
        let call = decode_invocation(body(&frame)).expect("a call");
        assert_eq!(call, (meaning.target.expect("a target").to_owned(), items[4].clone()));
    }
    if let Some(message) = meaning.written().filter(|_| is_written(&meaning, &items, row)) {
        assert_eq!(protocol::encode(Protocol::MessagePack, message), frame);
    }
}

/// A hub writes every Close in three items; rows that are only read say so.
fn is_written(meaning: &Meaning<'_>, items: &Value, row: &Value) -> bool {
    let parse_only = row["ops"].as_array().is_some_and(|ops| ops.iter().all(|op| op != "write"));
    let short = meaning.number == Some(7) && items.as_array().map(Vec::len) != Some(3);
    !parse_only && !short
}

/// A decoded value as our reader gives it: without the marks that tell MessagePack's types apart.
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
    // What lies behind the target is not looked at: there is no method that could take it.
    if text(row, "name") == "InvocationEmptyStringStreamId" {
        return unknown(Protocol::MessagePack, &frame, Some("abc"), "T");
    }
    broken(Protocol::MessagePack, &frame);
}

pub(crate) fn binding_error(row: &Value) {
    unknown(Protocol::MessagePack, &hex(text(row, "frame_hex")), Some("abc"), "xyz");
}

pub(crate) fn partial(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    assert_eq!(talk(Protocol::MessagePack, &frame), (Vec::new(), None, frame));
}

/// What the JavaScript client says and takes: a hub takes it too, as nothing that it has to answer.
pub(crate) fn of_the_javascript_client(row: &Value) {
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

/// What the JavaScript client refuses: no message to our client, and none to a hub.
pub(crate) fn never_sent(row: &Value) {
    let frame = hex(text(row, "frame_hex"));
    assert_eq!(decode_invocation(body(&frame)), None);
    assert!(messagepack::decode(body(&frame)).is_err());
}
