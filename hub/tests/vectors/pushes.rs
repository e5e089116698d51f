//! Pushes and their dates.

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

/// Returns a push with a date, encoded for both protocols.
fn encoded_date(date: &str) -> [Vec<u8>; 2] {
    let date = Member::Date(Date::parse(date).expect("a date"));
    let payload = Member::Object(vec![("Date".into(), date)]);
    let notification = &Notification { kind: 99, payload, context_id: None, missing: Vec::new() };
    Protocol::VARIANTS.map(|protocol| protocol::encode(protocol, ServerMessage::Push { target: "T", notification }))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

pub(crate) fn timestamp(row: &Value) {
    let utc = text(row, "utc");
    let unix = Date::parse(utc).expect("a date").unix();
    assert_eq!(unix, (row["unix_seconds"].as_i64().expect("seconds"), row["nanos"].as_u64().expect("nanos") as u32));
    let [json, messagepack] = encoded_date(utc);
    assert!(contains(&json, format!("{{\"date\":\"{utc}\"}}").as_bytes()));
    assert!(contains(&messagepack, &[b"\x81\xa4Date", hex(text(row, "hex")).as_slice(), b"\xa9ContextId"].concat()));
}

pub(crate) fn date(row: &Value) {
    let zone = match text(row, "kind") {
        "Utc" => "Z",
        "Unspecified" => "",
        other => panic!("an unknown kind of date: {other}"),
    };
    let [json, messagepack] = encoded_date(&format!("{}{zone}", text(row, "value")));
    assert!(contains(&json, format!("{{\"date\":{}}}", text(row, "json")).as_bytes()));
    assert!(contains(
        &messagepack,
        &[b"\x81\xa4Date", hex(text(row, "messagepack")).as_slice(), b"\xa9ContextId"].concat()
    ));
}

/// Checks that the hub sends the same frames as upstream for a push that has only members that upstream reads.
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
        // The JSON of upstream contains the current time. The MessagePack frame has the input.
        None => policy,
    };
    assert_eq!(argument["type"], row["push_type"]);
    check(row, &argument.to_string());
}

fn notification_of(frame: &[u8]) -> Value {
    let (body, _) =
        protocol::split_message(Protocol::MessagePack, frame, usize::MAX).expect("no error").expect("whole");
    protocol::messagepack::decode_invocation(body).expect("an invocation").1[0]["Payload"].clone()
}

/// Checks that a body of `/send` has the same audience and the same frames as upstream.
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
    assert_eq!(upstream_name(audience), expected);
}

fn read(body: &str) -> Notification {
    notification::read(body.as_bytes()).expect("well-formed").expect("a push")
}

/// Returns the name of an audience upstream: of a group, or of a user or a login request as the check writes it.
fn upstream_name(audience: Audience) -> String {
    let group = |kind: &str, id: uuid::Uuid, client_type: notification::ClientType| match client_type.name() {
        "All" => format!("{}_{id}", kind.trim_end_matches('_')),
        name => format!("{kind}ClientType_{id}_{name}"),
    };
    match audience {
        Audience::None => "None".to_owned(),
        Audience::LoginRequest(id) => format!("LoginRequest({id})"),
        Audience::User(id, client_type) if client_type.name() == "All" => format!("User({id}, All)"),
        Audience::User(id, client_type) => group("User", id, client_type),
        Audience::Organization(id, client_type) => group("Organization", id, client_type),
        Audience::Installation(id, client_type) => group("Installation_", id, client_type),
        Audience::All(hub) => format!("All({hub:?})"),
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
