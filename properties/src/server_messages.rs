//! Checks the messages that the hub writes.

use jiff::Timestamp;
use notification_hub::http::server_sent_events::event;
use notification_hub::notification::{Date, Notification, Value};
use notification_hub::signalr::protocol::messagepack::{self, Reader};
use notification_hub::signalr::protocol::{self, Protocol, ServerMessage, json, split_message};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::choices::Choices;

/// Checks that a generated message, encoded in either protocol, is read back equal.
pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let kind = choices.below(5);
    let (id, error) = (choices.text(), choices.text());
    let error = if choices.below(4) == 0 { None } else { Some(error.as_str()) };
    let allow_reconnect = choices.below(2) == 0;
    let notification = Notification {
        kind: choices.byte(),
        payload: generate_value(&mut choices, 4),
        context_id: error.map(str::to_owned),
        missing: Vec::new(),
    };
    let message = match kind {
        0 => ServerMessage::Push { target: &id, notification: &notification },
        1 => ServerMessage::Heartbeat,
        2 => ServerMessage::CompletionError { id: &id, error: error.unwrap_or_default() },
        3 => ServerMessage::Ping,
        _ => ServerMessage::Close { error, allow_reconnect },
    };
    let expected = expected_json(message);
    let text = protocol::encode(Protocol::Json, message);
    let body = single_message(Protocol::Json, &text);
    assert_eq!(event(&text), [b"data: ", text.as_slice(), b"\r\n\r\n"].concat(), "one line");
    assert_eq!(serde_json::from_slice::<Json>(body).expect("JSON"), expected);
    if let Some(arguments) = expected.get("arguments") {
        let read = json::decode_invocation(body).expect("an invocation");
        assert_eq!((Json::from(read.0), &read.1), (expected["target"].clone(), arguments));
    }

    let expected = expected_messagepack(message);
    let bytes = protocol::encode(Protocol::MessagePack, message);
    let body = single_message(Protocol::MessagePack, &bytes);
    assert_eq!(Reader::new(body).value().expect("MessagePack"), expected);
    if expected[0] == 1 {
        let read = messagepack::decode_invocation(body).expect("an invocation");
        assert_eq!((Json::from(read.0), &read.1), (expected[3].clone(), &expected[4]));
    }
}

/// Returns the body of the only message in some bytes.
pub(crate) fn single_message(protocol: Protocol, bytes: &[u8]) -> &[u8] {
    let (body, taken) = split_message(protocol, bytes, usize::MAX).expect("a length").expect("a whole message");
    assert_eq!(taken, bytes.len(), "one message");
    body
}

/// Generates a value with at most `depth` levels of lists and maps.
fn generate_value(choices: &mut Choices<'_>, depth: u8) -> Value {
    match choices.below(if depth == 0 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => Value::Bool(choices.below(2) == 0),
        2 => Value::Number(choices.number().into()),
        3 => Value::Number((choices.number() as i64 >> choices.below(64)).into()),
        // Only numbers that JSON reads back equal.
        4 => serde_json::Number::from_f64(f64::from(choices.number() as i32) / 64.0).map_or(Value::Null, Value::Number),
        5 => Value::String(choices.text()),
        6 => Value::Id(Uuid::from_u64_pair(choices.number(), choices.number())),
        7 => Value::Date(generate_date(choices)),
        8 => Value::Array((0..choices.below(20)).map(|_| generate_value(choices, depth - 1)).collect()),
        _ => {
            let count = choices.below(20);
            // The suffix keeps names apart that differ only in case.
            let members = (0..count).map(|place| {
                let name = format!("{}{place}", choices.text());
                (name.into(), generate_value(choices, depth - 1))
            });
            Value::Object(members.collect())
        }
    }
}

fn generate_date(choices: &mut Choices<'_>) -> Date {
    let mut part = |bound: u64| choices.number() % bound;
    let (year, month, day) = (1 + part(9999), 1 + part(12), 1 + part(28));
    let (hour, minute, second, fraction) = (part(24), part(60), part(60), part(10_000_000));
    let zone = ["", "Z", "+01:30"][part(3) as usize];
    let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:07}{zone}");
    Date::parse(&text).unwrap_or(Date::DOTNET_DEFAULT)
}

fn expected_json(message: ServerMessage<'_>) -> Json {
    match message {
        ServerMessage::Push { target, notification } => {
            json!({ "type": 1, "target": target, "arguments": [expected_argument(notification, &Spelling::Json)] })
        }
        ServerMessage::Heartbeat => json!({ "type": 1, "target": "Heartbeat", "arguments": [] }),
        ServerMessage::CompletionError { id, error } => json!({ "type": 3, "invocationId": id, "error": error }),
        ServerMessage::Ping => json!({ "type": 6 }),
        ServerMessage::Close { error, allow_reconnect } => {
            let mut close = json!({ "type": 7 });
            if let Some(error) = error {
                close["error"] = error.into();
            }
            if allow_reconnect {
                close["allowReconnect"] = true.into();
            }
            close
        }
    }
}

fn expected_messagepack(message: ServerMessage<'_>) -> Json {
    match message {
        ServerMessage::Push { target, notification } => {
            json!([1, {}, null, target, [expected_argument(notification, &Spelling::MessagePack)], []])
        }
        ServerMessage::Heartbeat => json!([1, {}, null, "Heartbeat", [], []]),
        ServerMessage::CompletionError { id, error } => json!([3, {}, id, 1, error]),
        ServerMessage::Ping => json!([6]),
        ServerMessage::Close { error, allow_reconnect } => json!([7, error, allow_reconnect]),
    }
}

/// How a protocol spells names and dates.
enum Spelling {
    Json,
    MessagePack,
}

impl Spelling {
    fn name(&self, name: &str) -> String {
        let mut letters = name.chars();
        let first = letters.next().map(|first| match self {
            Spelling::Json => first.to_ascii_lowercase(),
            Spelling::MessagePack => first.to_ascii_uppercase(),
        });
        first.into_iter().chain(letters).collect()
    }

    fn value(&self, value: &Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Number(number) => Json::Number(number.clone()),
            Value::String(text) => Json::from(text.as_str()),
            Value::Id(id) => Json::from(id.to_string()),
            Value::Date(date) => match self {
                Spelling::Json => Json::from(date.to_string()),
                Spelling::MessagePack => Json::from(canonical_date(*date)),
            },
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (self.name(name), self.value(value)));
                Json::Object(members.collect::<Map<_, _>>())
            }
        }
    }
}

fn expected_argument(notification: &Notification, spelling: &Spelling) -> Json {
    let context_id = notification.context_id.clone().map_or(Value::Null, Value::String);
    let kind = Value::Number(notification.kind.into());
    let members = [("Type", kind), ("Payload", notification.payload.clone()), ("ContextId", context_id)];
    spelling.value(&Value::Object(members.into_iter().map(|(name, value)| (name.into(), value)).collect()))
}

/// Returns a date as `jiff` writes it, with the zone UTC if it has none.
fn canonical_date(date: Date) -> String {
    let text = date.to_string();
    let zoned = if text.ends_with('Z') || text.ends_with("+00:00") { text } else { text + "Z" };
    zoned.parse::<Timestamp>().expect("a date").to_string()
}
