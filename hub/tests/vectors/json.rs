//! JSON messages.

use notification_hub::signalr::protocol::{self, Protocol, json};
use serde_json::Value;

use super::meaning::of_json;
use super::talk::{broken, unknown};
use crate::contract::{hex, text};

/// A message that is understood, read by our client where it is one for clients, and written where a hub writes it.
pub(crate) fn message(row: &Value) {
    let body = text(row, "text");
    let framed = format!("{body}\u{1e}").into_bytes();
    if let Some(bytes) = row["framed_hex"].as_str() {
        assert_eq!(framed, hex(bytes));
    }
    if let Some(size) = row["framed_size"].as_u64() {
        assert_eq!(framed.len() as u64, size);
    }
    let members: Value = serde_json::from_str(body).expect("JSON");
    if is_item_without_stream(&members) {
        return broken(Protocol::Json, &framed);
    }
    let meaning = of_json(&members);
    assert_eq!(json::decode(body.as_bytes()), Ok(meaning.understood()));
    if meaning.number == Some(1) {
        let call = json::decode_invocation(body.as_bytes()).expect("a call");
        assert_eq!(call, (meaning.target.expect("a target").to_owned(), members["arguments"].clone()));
    }
    let parse_only = row["ops"].as_array().is_some_and(|ops| ops.iter().all(|op| op != "write"));
    if let Some(message) = meaning.written().filter(|_| !parse_only) {
        assert_eq!(protocol::encode(Protocol::Json, message), framed);
    }
}

/// Whether a message is an item whose stream is named behind it: the original closes the connection, as no stream is open.
fn is_item_without_stream(members: &Value) -> bool {
    let place = |name: &str| members.as_object().and_then(|members| members.keys().position(|key| key == name));
    members["type"] == 2 && place("item") < place("invocationId")
}

pub(crate) fn invalid(row: &Value) {
    broken(Protocol::Json, format!("{}\u{1e}", text(row, "text")).as_bytes());
}

pub(crate) fn binding_error(row: &Value) {
    let framed = format!("{}\u{1e}", text(row, "text"));
    if text(row, "effect").starts_with("stale") {
        // The object ends before its target.
        return broken(Protocol::Json, framed.as_bytes());
    }
    unknown(Protocol::Json, framed.as_bytes(), Some("42"), "foo");
}
