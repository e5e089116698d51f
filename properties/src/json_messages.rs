//! What clients say in JSON.

use notification_hub::signalr::protocol::{ClientMessage, Protocol, json, split_message};
use serde_json::Value;

use crate::cuts::beginnings;

/// What is split off a beginning is split off the whole; an object means the same in every spelling, and whatever is behind it.
pub(crate) fn check(input: &[u8]) {
    splits(Protocol::Json, input);
    let mut rest = input;
    while let Ok(Some((body, taken))) = split_message(Protocol::Json, rest, usize::MAX) {
        message(body);
        rest = &rest[taken..];
    }
    message(rest);
}

fn message(text: &[u8]) {
    let meaning = json::decode(text);
    if let Ok(ClientMessage::Invocation { id, .. }) = &meaning {
        assert_ne!(id.as_deref(), Some(""), "an empty id asks for no answer");
    }
    if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(text) {
        assert_eq!(json::decode(&[b"\n ", text, b" ]"].concat()), meaning);
        let compact = value.to_string();
        // Of members with one name every one counts, and a value has only the last of them.
        if quotes(compact.as_bytes()) == quotes(text) {
            assert_eq!(json::decode(compact.as_bytes()), meaning);
            let pretty = serde_json::to_string_pretty(&value).expect("a value can be written");
            assert_eq!(json::decode(pretty.as_bytes()), meaning);
        }
    } else if let Ok(value) = serde_json::from_slice::<Value>(text) {
        assert!(meaning.is_err(), "{value} is no message");
    }
    // Our own client's reading of whatever comes.
    let _ = json::decode_invocation(text);
}

/// Counts the quotes around the texts of JSON.
fn quotes(text: &[u8]) -> usize {
    let mut bytes = text.iter();
    let mut count = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => count += 1,
            _ => {}
        }
    }
    count
}

/// What is split off a beginning, or refused in it, is so in the whole, whatever the limit.
pub(crate) fn splits(protocol: Protocol, input: &[u8]) {
    for limit in [16, 300, usize::MAX] {
        let whole = split_message(protocol, input, limit);
        if let Ok(Some((body, taken))) = whole {
            assert!(body.len() < taken && taken <= limit.min(input.len()));
        }
        for beginning in beginnings(input) {
            let part = split_message(protocol, beginning, limit);
            assert!(part == Ok(None) || part == whole, "{part:?} of {} bytes, {whole:?} of all", beginning.len());
        }
    }
}
