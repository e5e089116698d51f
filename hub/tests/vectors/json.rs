//! JSON messages.

use notification_hub::signalr::protocol::{self, Protocol, json};
use serde_json::Value;

use super::meaning::from_json;
use super::session::{assert_protocol_error, assert_unknown_method};
use crate::contract::{hex, text};

/// Checks that the hub decodes a message, that the client decodes an invocation, and that the hub encodes a message that it
/// sends.
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
        return assert_protocol_error(Protocol::Json, &framed);
    }
    let meaning = from_json(&members);
    assert_eq!(json::decode(body.as_bytes()), Ok(meaning.to_client_message()));
    if meaning.number == Some(1) {
        let invocation = json::decode_invocation(body.as_bytes()).expect("an invocation");
        assert_eq!(invocation, (meaning.target.expect("a target").to_owned(), members["arguments"].clone()));
    }
    let parse_only = row["ops"].as_array().is_some_and(|ops| ops.iter().all(|op| op != "write"));
    if let Some(message) = meaning.to_server_message().filter(|_| !parse_only) {
        assert_eq!(protocol::encode(Protocol::Json, message), framed);
    }
}

/// Returns whether a message is a stream item with its id after the item. Upstream closes the connection, because no stream is
/// open.
fn is_item_without_stream(members: &Value) -> bool {
    let index = |name: &str| members.as_object().and_then(|members| members.keys().position(|key| key == name));
    members["type"] == 2 && index("item") < index("invocationId")
}

pub(crate) fn invalid(row: &Value) {
    assert_protocol_error(Protocol::Json, format!("{}\u{1e}", text(row, "text")).as_bytes());
}

pub(crate) fn binding_error(row: &Value) {
    let framed = format!("{}\u{1e}", text(row, "text"));
    if text(row, "effect").starts_with("stale") {
        // The object ends before its target.
        return assert_protocol_error(Protocol::Json, framed.as_bytes());
    }
    assert_unknown_method(Protocol::Json, framed.as_bytes(), Some("42"), "foo");
}
