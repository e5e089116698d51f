//! Checks a push, from the body that a sender posts to the frames for clients.

use std::time::Instant;

use notification_hub::delivery::Audience;
use notification_hub::delivery::route::route;
use notification_hub::notification::{self, Notification, PushType};
use notification_hub::signalr::protocol::{AUTH_REQUEST_RESPONSE, Protocol, RECEIVE_MESSAGE, json, messagepack};
use serde_json::Value;

use crate::server_messages::single_message;

/// Checks that the frames of both protocols have the content of the push. Reading the argument of a frame as a push must give the
/// same push again.
pub(crate) fn check(input: &[u8]) {
    let Ok(Some(push)) = notification::read(input) else { return };
    let [in_json, in_messagepack] = decode_frames(&push);
    assert_eq!(in_json["type"], push.kind);
    assert_eq!(in_json["contextId"].as_str(), push.context_id.as_deref());
    let known = PushType::from_number(push.kind);
    if known.is_none() {
        assert_eq!(lowercase_names(&in_messagepack), in_json);
    }
    let reread = notification::read(in_json.to_string().as_bytes()).expect("a push").expect("not blank");
    assert_eq!(decode_frames(&reread), [in_json, in_messagepack]);
    let first = known.and_then(|known| known.members.first());
    assert!(first.is_none_or(|first| push.payload.member(first.name).is_some()), "the required member is present");
}

/// Returns the argument of a push, decoded from its frame of each protocol.
fn decode_frames(push: &Notification) -> [Value; 2] {
    let delivery = route(push, Instant::now());
    let expected = match delivery.audience {
        Audience::LoginRequest(_) => AUTH_REQUEST_RESPONSE,
        _ => RECEIVE_MESSAGE,
    };
    let read = |protocol: Protocol| {
        let body = single_message(protocol, delivery.frame(protocol).expect("both protocols").body());
        let invocation = match protocol {
            Protocol::Json => json::decode_invocation(body),
            Protocol::MessagePack => messagepack::decode_invocation(body),
        };
        let (target, mut arguments) = invocation.expect("an invocation");
        assert_eq!(target, expected);
        assert_eq!(arguments.as_array().map(Vec::len), Some(1));
        arguments[0].take()
    };
    Protocol::VARIANTS.map(read)
}

/// Returns the value with the first letter of each name in lower case, as in JSON.
fn lowercase_names(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(lowercase_names).collect(),
        Value::Object(members) => {
            let name = |name: &str| {
                let mut letters = name.chars();
                letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect::<String>()
            };
            Value::Object(members.iter().map(|(key, value)| (name(key), lowercase_names(value))).collect())
        }
        other => other.clone(),
    }
}
