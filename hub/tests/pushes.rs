//! Checks every push of the catalog in both input formats: its audience, and its frames byte for byte.

mod contract;

use std::time::Instant;

use contract::{file, hex, text};
use notification_hub::delivery::Audience;
use notification_hub::delivery::route;
use notification_hub::notification::{self, ClientType, Notification, PushType};
use notification_hub::signalr::protocol::{self, Protocol, ServerMessage};
use serde_json::{Value, json};
use uuid::Uuid;

const ANONYMOUS: &str = "AnonymousNotificationsHub";

fn read(body: &str) -> Notification {
    notification::read(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}")).expect("a push")
}

/// Returns the audience that `deliver` describes as upstream does: by a user or a group.
fn audience(deliver: &Value) -> Audience {
    if deliver.is_null() {
        return Audience::None;
    }
    if deliver["hub"] == ANONYMOUS {
        return Audience::LoginRequest(text(deliver, "group").parse().expect("a GUID"));
    }
    if let Some(user) = deliver["user"].as_str() {
        return Audience::User(user.parse().expect("a GUID"), ClientType::All);
    }
    let group = text(deliver, "group");
    let (kind, rest) = group.split_at(group.rfind("Type_").map_or(group.find('_').expect("a group") + 1, |at| at + 5));
    let (id, client_type) = rest.split_once('_').unwrap_or((rest, "All"));
    let id: Uuid = id.parse().expect("a GUID");
    let client_type =
        ClientType::VARIANTS.into_iter().find(|known| known.name() == client_type).expect("a client type");
    match kind {
        "UserClientType_" => Audience::User(id, client_type),
        "Organization_" | "OrganizationClientType_" => Audience::Organization(id, client_type),
        "Installation_" | "Installation_ClientType_" => Audience::Installation(id, client_type),
        _ => panic!("unknown kind of group: {group}"),
    }
}

fn frames(expected: &Value) -> [Vec<u8>; 2] {
    [text(expected, "json_hub_text").into(), hex(text(expected, "msgpack_ws_hex"))]
}

#[test]
fn pushes_in_both_formats_match_the_catalog() {
    let catalog = file("push-types.json");
    let types = catalog["types"].as_array().expect("types");
    assert_eq!(types.len(), PushType::all().len());
    let mut variants = 0;
    for (row, known) in types.iter().zip(PushType::all()) {
        assert_eq!((row["type"].as_u64(), text(row, "name")), (Some(known.number.into()), known.name));
        for variant in row["variants"].as_array().expect("variants") {
            for format in ["queue_json", "send_json"] {
                let name = format!("{} {} {format}", known.name, text(variant, "name"));
                check(variant, &read(text(variant, format)), &name);
            }
            variants += 1;
        }
    }
    assert_eq!(variants, 55);
}

fn check(variant: &Value, push: &Notification, name: &str) {
    let deliver = &variant["deliver"];
    assert_eq!(route::audience(push), audience(deliver), "{name}");
    let Some(expected) = variant.get("superset").or(variant.get("emitted")) else {
        assert!(deliver.is_null(), "{name} is delivered without a frame");
        return;
    };
    let target = text(deliver, "target");
    for (protocol, expected) in Protocol::VARIANTS.into_iter().zip(frames(expected)) {
        let written = protocol::encode(protocol, ServerMessage::Push { target, notification: push });
        same(protocol, &written, &expected, name);
        let delivery = route::route(push, Instant::now());
        same(protocol, delivery.frame(protocol).expect("both protocols").body(), &expected, name);
    }
}

fn same(protocol: Protocol, written: &[u8], expected: &[u8], name: &str) {
    let shown = |bytes: &[u8]| match protocol {
        Protocol::Json => String::from_utf8_lossy(bytes).into_owned(),
        Protocol::MessagePack => bytes.escape_ascii().to_string(),
    };
    assert_eq!(shown(written), shown(expected), "{name}");
}

#[test]
fn audience_matches_the_routing_cases_of_upstream() {
    let catalog = file("push-types.json");
    let cases = catalog["acceptance_routing_cases"].as_array().expect("cases");
    for case in cases {
        assert_eq!(route::audience(&read(text(case, "body"))), audience(&case["deliver"]), "{case}");
    }
    assert_eq!(cases.len(), 20);
}

#[test]
fn client_type_of_every_device_matches_the_catalog() {
    let catalog = file("push-types.json");
    for (name, number) in catalog["client_types"].as_object().expect("client types") {
        let client_type = number.as_u64().and_then(ClientType::from_number).expect("a client type");
        assert_eq!(client_type.name(), name);
    }
    for device in catalog["device_types"].as_array().expect("devices") {
        let number = device["number"].as_u64().expect("a number");
        for claim in [json!(text(device, "name")), json!(number), json!(number.to_string())] {
            assert_eq!(ClientType::from_device_claim(&claim).name(), text(device, "client_type"), "{claim}");
        }
    }
}

#[test]
fn control_frames_match_the_catalog() {
    let catalog = file("push-types.json");
    let frames = &catalog["control_frames"];
    for (name, message) in [
        ("ping", ServerMessage::Ping),
        ("close_no_reconnect", ServerMessage::Close { error: None, allow_reconnect: false }),
        ("close_allow_reconnect", ServerMessage::Close { error: None, allow_reconnect: true }),
        ("heartbeat", ServerMessage::Heartbeat),
    ] {
        let expected = [text(&frames[name], "json_text").into(), hex(text(&frames[name], "msgpack_ws_hex"))];
        for (protocol, expected) in Protocol::VARIANTS.into_iter().zip(expected) {
            same(protocol, &protocol::encode(protocol, message), &expected, name);
        }
    }
}
