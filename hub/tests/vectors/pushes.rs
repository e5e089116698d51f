//! Pushes and the dates in them.

use std::time::Instant;

use notification_hub::backplane::redis::wire::channel::Channels;
use notification_hub::backplane::redis::wire::invocation::Invocation;
use notification_hub::delivery::Audience;
use notification_hub::delivery::route;
use notification_hub::notification::{self, Date, Notification, Value as Member};
use notification_hub::signalr::protocol::{self, Protocol, ServerMessage};
use serde_json::{Value, json};

use super::redis;
use crate::contract::{hex, text};

/// A date as both protocols write it.
fn written(date: &str) -> [Vec<u8>; 2] {
    let date = Member::Date(Date::parse(date).expect("a date"));
    let payload = Member::Map(vec![("Date".into(), date)]);
    let notification = &Notification { kind: 99, payload, context_id: None, missing: Vec::new() };
    Protocol::VARIANTS.map(|protocol| protocol::encode(protocol, ServerMessage::Push { target: "T", notification }))
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

pub(crate) fn timestamp(row: &Value) {
    let utc = text(row, "utc");
    let unix = Date::parse(utc).expect("a date").unix();
    assert_eq!(unix, (row["unix_seconds"].as_i64().expect("seconds"), row["nanos"].as_u64().expect("nanos") as u32));
    let [json, messagepack] = written(utc);
    assert!(holds(&json, format!("{{\"date\":\"{utc}\"}}").as_bytes()));
    assert!(holds(&messagepack, &[b"\x81\xa4Date", hex(text(row, "hex")).as_slice(), b"\xa9ContextId"].concat()));
}

pub(crate) fn date(row: &Value) {
    let zone = match text(row, "kind") {
        "Utc" => "Z",
        "Unspecified" => "",
        other => panic!("an unknown kind of date: {other}"),
    };
    let [json, messagepack] = written(&format!("{}{zone}", text(row, "value")));
    assert!(holds(&json, format!("{{\"date\":{}}}", text(row, "json")).as_bytes()));
    assert!(holds(
        &messagepack,
        &[b"\x81\xa4Date", hex(text(row, "messagepack")).as_slice(), b"\xa9ContextId"].concat()
    ));
}

/// A push that has only what the original passes on comes out as from the original.
pub(crate) fn push(row: &Value) {
    let policy = json!({
        "type": 25,
        "payload": {
            "organizationId": "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
            "policy": notification_of(&hex(text(row, "messagepack_frame_hex")))["Policy"],
        },
    });
    let argument = match row["json"].as_str().and_then(|text| text.strip_suffix('\u{1e}')) {
        Some(text) => serde_json::from_str::<Value>(text).expect("JSON")["arguments"][0].clone(),
        // The original's JSON has the time of its making; the input is taken from the MessagePack frame.
        None => policy,
    };
    assert_eq!(argument["type"], row["push_type"]);
    check(row, &argument.to_string());
}

fn notification_of(frame: &[u8]) -> Value {
    let (body, _) =
        protocol::split_message(Protocol::MessagePack, frame, usize::MAX).expect("no error").expect("whole");
    protocol::messagepack::decode_invocation(body).expect("a call").1[0]["Payload"].clone()
}

/// A body of `/send` goes where the original sends it, with the same frames.
pub(crate) fn sent(row: &Value) {
    let body = text(row, "request_body");
    check(row, body);
    let audience = route::audience(&read(body));
    let expected = match (text(row, "route_kind"), text(row, "route_name")) {
        ("user", user) => format!("User({user}, All)"),
        ("group", request) if text(row, "hub").ends_with(".AnonymousNotificationsHub") => {
            format!("LoginRequest({request})")
        }
        ("group", group) => group.to_owned(),
        (other, _) => panic!("an unknown kind of route: {other}"),
    };
    assert_eq!(named(audience), expected);
}

fn read(body: &str) -> Notification {
    notification::read(body.as_bytes()).expect("well-formed").expect("a push")
}

/// An audience by its name at the original.
fn named(audience: Audience) -> String {
    let narrowed = |kind: &str, id: uuid::Uuid, client_type: notification::ClientType| match client_type.name() {
        "All" => format!("{}_{id}", kind.trim_end_matches('_')),
        name => format!("{kind}ClientType_{id}_{name}"),
    };
    match audience {
        Audience::Nobody => "Nobody".to_owned(),
        Audience::LoginRequest(id) => format!("LoginRequest({id})"),
        Audience::User(id, client_type) if client_type.name() == "All" => format!("User({id}, All)"),
        Audience::User(id, client_type) => narrowed("User", id, client_type),
        Audience::Organization(id, client_type) => narrowed("Organization", id, client_type),
        Audience::Installation(id, client_type) => narrowed("Installation_", id, client_type),
        Audience::Everyone(hub) => format!("Everyone({hub:?})"),
    }
}

fn check(row: &Value, body: &str) {
    let notification = read(body);
    let delivery = route::route(&notification, Instant::now());
    let frames = Protocol::VARIANTS.map(|protocol| delivery.frame(protocol).expect("both protocols").body().to_vec());
    if let Some(json) = row["json"].as_str() {
        assert_eq!(String::from_utf8_lossy(&frames[0]), json);
    }
    assert_eq!(frames[1], hex(text(row, "messagepack_frame_hex")));
    if let Some(published) = row["redis_payload_hex"].as_str() {
        assert_eq!(Invocation::from_delivery(&delivery, redis::OWN).write(), redis::with_publisher(&hex(published)));
    }
    if let Some(channel) = row["redis_channel"].as_str() {
        assert_eq!(Channels::new("Notifications").name_for(delivery.audience).as_deref(), Some(channel));
    }
}
