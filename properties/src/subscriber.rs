//! Checks messages to a Redis subscriber, up to the frames for clients.

use std::time::Instant;

use notification_hub::backplane::redis::wire::channel::{Channel, Channels};
use notification_hub::backplane::redis::wire::message::BackplaneMessage;
use notification_hub::delivery::{Audience, Delivery};
use notification_hub::http::server_sent_events::event;
use notification_hub::notification::ClientType;
use notification_hub::signalr::Hub;
use notification_hub::signalr::protocol::messagepack::Reader;
use notification_hub::signalr::protocol::{Protocol, json};
use notification_hub::websocket::Opcode;
use redis::{Msg, parse_redis_value};
use uuid::Uuid;

use crate::choices::Choices;
use crate::server_messages::single_message;
use crate::websocket_frames::parse_server_frame;

/// The id of the process that reads the messages.
const OWN_ID: Uuid = Uuid::from_u128(1);

/// Checks that only whole frames are delivered, readable by clients of each transport, and only to the audience of the channel.
/// The input is checked as bytes from Redis, and as a choice of channel followed by a message.
pub(crate) fn check(input: &[u8]) {
    let channels = Channels::new("Notifications");
    if let Some(message) = parse_message(input) {
        check_message(&channels, &message);
    }
    let mut choices = Choices(input);
    let name = channel_name(&channels, &mut choices);
    let payload = choices.0;
    let message = parse_message(&encode_array(&[b"message", name.as_bytes(), payload])).expect("a message");
    assert_eq!((message.get_channel_name(), message.get_payload_bytes()), (name.as_str(), payload));
    check_message(&channels, &message);
}

/// Returns the name of a channel that the hub subscribes to, or any text.
fn channel_name(channels: &Channels, choices: &mut Choices<'_>) -> String {
    let (id, narrowed) = (Uuid::from_u128(2), ClientType::VARIANTS[usize::from(choices.below(3))]);
    let audience = match choices.below(8) {
        0 => Audience::User(id, narrowed),
        1 => Audience::Organization(id, narrowed),
        2 => Audience::Installation(id, narrowed),
        3 => Audience::LoginRequest(id),
        4 => Audience::All(Hub::Main),
        5 => Audience::All(Hub::Anonymous),
        6 => return channels.group_commands(Hub::Main),
        _ => return choices.text(),
    };
    channels.name_for(audience).expect("a channel")
}

/// Encodes an array of strings in RESP.
fn encode_array(items: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", items.len()).into_bytes();
    for item in items {
        bytes.extend(format!("${}\r\n", item.len()).bytes());
        bytes.extend_from_slice(item);
        bytes.extend(b"\r\n");
    }
    bytes
}

fn parse_message(bytes: &[u8]) -> Option<Msg> {
    Msg::from_owned_value(parse_redis_value(bytes).ok()?)
}

fn check_message(channels: &Channels, message: &Msg) {
    let Some(channel) = channels.read(message.get_channel_name()) else { return };
    let incoming = BackplaneMessage::read(channel, message.get_payload_bytes(), OWN_ID, Instant::now());
    match (channel, incoming) {
        (Channel::To(audience), Ok(BackplaneMessage::Push(delivery, _) | BackplaneMessage::Foreign(delivery))) => {
            assert_eq!(delivery.audience, audience);
            assert_readable(&delivery);
        }
        (Channel::To(_), Ok(BackplaneMessage::Own(_) | BackplaneMessage::Heartbeat)) => {}
        (Channel::GroupCommands(_), Ok(BackplaneMessage::GroupCommand(_))) => {}
        (_, Err(error)) => assert!(!error.to_string().is_empty()),
        (channel, Ok(incoming)) => panic!("{incoming:?} over {channel:?}"),
    }
}

/// Panics unless each frame is one message, over a WebSocket and as a server-sent event.
fn assert_readable(delivery: &Delivery) {
    let frames = Protocol::VARIANTS.map(|protocol| Some((protocol, delivery.frame(protocol)?)));
    assert!(frames.iter().any(Option::is_some));
    for (protocol, frame) in frames.into_iter().flatten() {
        let (first, payload, rest) = parse_server_frame(frame.bytes()).expect("a whole frame");
        assert_eq!((first, payload, rest), (0x80 | Opcode::for_protocol(protocol) as u8, frame.body(), &b""[..]));
        let body = single_message(protocol, payload);
        match protocol {
            Protocol::Json => {
                assert_eq!(event_data(&event(payload)), with_line_feeds(payload));
                if delivery.frame(Protocol::MessagePack).is_none() {
                    assert!(json::decode_invocation(body).is_some());
                }
            }
            Protocol::MessagePack => assert_eq!(Reader::new(body).array().map(|items| items >= 5), Some(true)),
        }
    }
}

/// Returns the data of one event by the HTML standard, in which a single carriage return also ends a line.
fn event_data(event: &[u8]) -> Vec<u8> {
    let event = with_line_feeds(event);
    let event = event.strip_suffix(b"\n\n").expect("an empty line at the end");
    let line = |line: &[u8]| line.strip_prefix(b"data: ").expect("a line of data").to_vec();
    event.split(|byte| *byte == b'\n').map(line).collect::<Vec<_>>().join(&b'\n')
}

/// Returns the bytes with each line ending replaced by a line feed.
fn with_line_feeds(bytes: &[u8]) -> Vec<u8> {
    let mut unified = Vec::with_capacity(bytes.len());
    for (place, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' if place > 0 && bytes[place - 1] == b'\r' => {}
            b'\r' => unified.push(b'\n'),
            byte => unified.push(*byte),
        }
    }
    unified
}
