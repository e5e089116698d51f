//! Messages of the Redis backplane between servers.

use std::time::Instant;

use notification_hub::backplane::redis::wire::channel::{Channel, Channels};
use notification_hub::backplane::redis::wire::group_command::{Acknowledgement, Action, GroupCommand};
use notification_hub::backplane::redis::wire::invocation::Invocation;
use notification_hub::backplane::redis::wire::message::BackplaneMessage;
use notification_hub::signalr::protocol::Protocol;
use notification_hub::signalr::protocol::messagepack::Reader;
use serde_json::Value;
use uuid::Uuid;

use crate::contract::{hex, text};

/// The id of the publishing process.
pub(crate) const OWN: Uuid = Uuid::from_u128(0xabc);

/// Returns a message of upstream as this hub writes it, with the id of the publisher as a third item.
pub(crate) fn with_publisher(original: &[u8]) -> Vec<u8> {
    [b"\x93", &original[1..], b"\xc4\x10", OWN.as_bytes()].concat()
}

pub(crate) fn message(row: &Value) {
    let bytes = hex(text(row, "hex"));
    match text(row, "kind") {
        "ack" => {
            let id = number(row);
            assert_eq!(Acknowledgement::read(&bytes), Ok(Acknowledgement(id)));
            assert_eq!(Acknowledgement(id).write(), bytes);
        }
        "group" => group_command(row, &bytes),
        "invocation" => invocation(row, &bytes),
        "completion" => {
            // The result of a client, which this hub neither requests nor sends. It is no message of any channel here.
            let mut reader = Reader::new(&bytes);
            let completion = (reader.array(), reader.text(), reader.binary());
            assert_eq!(completion, (Some(2), row["protocol"].as_str(), Some(&hex(text(row, "completion_hex"))[..])));
            assert!(Invocation::read(&bytes).is_err() && GroupCommand::read(&bytes).is_err());
        }
        other => panic!("an unknown kind of message: {other}"),
    }
}

fn number(row: &Value) -> u32 {
    row["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("a number")
}

fn group_command(row: &Value, bytes: &[u8]) {
    let action = if row["action"] == 1 { Action::Add } else { Action::Remove };
    let (server, group, connection) = (text(row, "server"), text(row, "group"), text(row, "connectionId"));
    let command = GroupCommand { id: number(row), server, action, group, connection };
    assert_eq!(GroupCommand::read(bytes), Ok(command));
    assert_eq!(command.write(), bytes);
}

fn invocation(row: &Value, bytes: &[u8]) {
    let read = Invocation::read(bytes).expect("an invocation");
    assert_eq!(read.publisher, None);
    let excluded = row["excluded"].as_array().cloned().unwrap_or_default();
    assert_eq!(Value::from(read.excluded.clone()), Value::from(excluded));
    let payloads = row["payloads"].as_object();
    for (protocol, payload) in payloads.into_iter().flatten() {
        let payload = hex(payload.as_str().expect("hex"));
        assert!(read.frames.contains(&(protocol.as_str(), payload.as_slice())), "{protocol}");
    }
    if let Some(json) = row["json"].as_str() {
        assert_eq!(read.frame(Protocol::Json), Some(json.as_bytes()));
        assert_eq!(read.frame(Protocol::MessagePack), Some(&hex(text(row, "messagepack_hex"))[..]));
    }

    // The hub never requests a result, so it writes only the first two items.
    let first_two = match row["invocationId"].as_str() {
        None => bytes,
        Some(id) => &bytes[..bytes.len() - id.len() - 1 - text(row, "returnChannel").len() - 2],
    };
    assert_eq!(Invocation { publisher: Some(OWN), ..read.clone() }.write(), with_publisher(first_two));
    if row.get("invocationId").is_none() {
        assert_eq!(read.write(), bytes);
    }

    // A message on a channel of this hub is delivered to its clients unchanged.
    if let Some(Channel::To(audience)) =
        row["channel"].as_str().and_then(|name| Channels::new("Notifications").read(name))
    {
        let Ok(BackplaneMessage::Foreign(delivery)) =
            BackplaneMessage::read(Channel::To(audience), bytes, OWN, Instant::now())
        else {
            panic!("not a push: {row}");
        };
        assert_eq!(delivery.audience, audience);
        for protocol in Protocol::VARIANTS {
            assert_eq!(delivery.frame(protocol).map(|frame| frame.body()), read.frame(protocol));
        }
    }
}
