//! Checks client messages in JSON.

use notification_hub::signalr::protocol::{ClientMessage, Protocol, json, split_message};
use serde_json::Value;

use crate::splits::prefixes;

/// Checks messages and their split. An object must decode to the same message in every spelling, whatever bytes are behind it.
pub(crate) fn check(input: &[u8]) {
    check_split(Protocol::Json, input);
    let mut rest = input;
    while let Ok(Some((body, taken))) = split_message(Protocol::Json, rest, usize::MAX) {
        check_message(body);
        rest = &rest[taken..];
    }
    check_message(rest);
}

fn check_message(text: &[u8]) {
    let meaning = json::decode(text);
    if let Ok(ClientMessage::Invocation { id, .. }) = &meaning {
        assert_ne!(id.as_deref(), Some(""), "an empty id requests no answer");
    }
    if let Ok(value @ Value::Object(_)) = serde_json::from_slice::<Value>(text) {
        assert_eq!(json::decode(&[b"\n ", text, b" ]"].concat()), meaning);
        let compact = value.to_string();
        // The decoder sees each of several members with one name. A `Value` has only the last.
        if count_quotes(compact.as_bytes()) == count_quotes(text) {
            assert_eq!(json::decode(compact.as_bytes()), meaning);
            let pretty = serde_json::to_string_pretty(&value).expect("a value can be written");
            assert_eq!(json::decode(pretty.as_bytes()), meaning);
        }
    } else if let Ok(value) = serde_json::from_slice::<Value>(text) {
        assert!(meaning.is_err(), "{value} is no message");
    }
    // The decoder of our own client must not panic.
    let _ = json::decode_invocation(text);
}

/// Counts the quotes around the strings of a JSON text.
fn count_quotes(text: &[u8]) -> usize {
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

/// Checks that a message that is split off a prefix, or refused in it, is so in the whole input, at any size limit.
pub(crate) fn check_split(protocol: Protocol, input: &[u8]) {
    for limit in [16, 300, usize::MAX] {
        let whole = split_message(protocol, input, limit);
        if let Ok(Some((body, taken))) = whole {
            assert!(body.len() < taken && taken <= limit.min(input.len()));
        }
        for prefix in prefixes(input) {
            let part = split_message(protocol, prefix, limit);
            assert!(part == Ok(None) || part == whole, "{part:?} of {} bytes, {whole:?} of all", prefix.len());
        }
    }
}
