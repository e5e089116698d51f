//! The JSON protocol (`signalr.md` 4.2). No I/O.

pub(super) mod object;
mod reader;

pub use reader::decode;

use serde_json::Value as Json;

use super::{RECEIVE_MESSAGE, ServerMessage, argument};
use crate::notification::Value;

/// The byte that ends each message.
pub const SEPARATOR: u8 = 0x1e;

/// An encoded ping.
pub const PING: &[u8] = b"{\"type\":6}\x1e";

/// Parses the first JSON value of a text, and ignores the rest. Returns `None` if it is malformed.
pub(super) fn first_value(text: &[u8]) -> Option<Json> {
    serde_json::Deserializer::from_slice(text).into_iter().next()?.ok()
}

/// Encodes a message, with its separator.
pub(super) fn encode(message: ServerMessage<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(256);
    match message {
        ServerMessage::Push { target, notification } => {
            text.extend_from_slice(b"{\"type\":1,\"target\":");
            write_text(target, &mut text);
            text.extend_from_slice(b",\"arguments\":[{");
            for (index, (name, value)) in argument(notification).iter().enumerate() {
                write_member(index, name, value, &mut text);
            }
            text.extend_from_slice(b"}]}");
        }
        ServerMessage::Heartbeat => text.extend_from_slice(br#"{"type":1,"target":"Heartbeat","arguments":[]}"#),
        ServerMessage::CompletionError { id, error } => {
            text.extend_from_slice(b"{\"type\":3,\"invocationId\":");
            write_text(id, &mut text);
            text.extend_from_slice(b",\"error\":");
            write_text(error, &mut text);
            text.push(b'}');
        }
        ServerMessage::Ping => text.extend_from_slice(&PING[..PING.len() - 1]),
        ServerMessage::Close { error, allow_reconnect } => {
            text.extend_from_slice(b"{\"type\":7");
            if let Some(error) = error {
                text.extend_from_slice(b",\"error\":");
                write_text(error, &mut text);
            }
            if allow_reconnect {
                text.extend_from_slice(b",\"allowReconnect\":true");
            }
            text.push(b'}');
        }
    }
    text.push(SEPARATOR);
    text
}

fn write_value(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Null => text.extend_from_slice(b"null"),
        Value::Bool(true) => text.extend_from_slice(b"true"),
        Value::Bool(false) => text.extend_from_slice(b"false"),
        Value::Number(number) => text.extend_from_slice(number.to_string().as_bytes()),
        Value::String(string) => write_text(string, text),
        Value::Id(id) => {
            let mut buffer = uuid::Uuid::encode_buffer();
            text.push(b'"');
            text.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
            text.push(b'"');
        }
        Value::Date(date) => text.extend_from_slice(format!("\"{date}\"").as_bytes()),
        Value::Array(items) => {
            text.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b',');
                }
                write_value(item, text);
            }
            text.push(b']');
        }
        Value::Object(members) => {
            text.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                write_member(index, name, value, text);
            }
            text.push(b'}');
        }
    }
}

/// Writes the member of an object at an index. The first letter of its name becomes lower case.
fn write_member(index: usize, name: &str, value: &Value, text: &mut Vec<u8>) {
    if index > 0 {
        text.push(b',');
    }
    let start = text.len();
    write_text(name, text);
    if let Some(first) = text.get_mut(start + 1) {
        first.make_ascii_lowercase();
    }
    text.push(b':');
    write_value(value, text);
}

/// Writes a string like .NET's relaxed encoder: characters of the BMP unchanged, others as two `\u` escapes.
pub(super) fn write_text(string: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    let mut utf8 = [0; 4];
    for character in string.chars() {
        let short = match character {
            '"' => b'"',
            '\\' => b'\\',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            _ if is_escaped(character) => {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    text.extend_from_slice(format!("\\u{unit:04X}").as_bytes());
                }
                continue;
            }
            _ => {
                text.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
                continue;
            }
        };
        text.extend_from_slice(&[b'\\', short]);
    }
    text.push(b'"');
}

/// Returns `true` for controls, separators except the space, private use, the byte order mark, noncharacters, and characters
/// beyond the BMP.
fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}'
            | '\u{3000}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            | '\u{10000}'..)
}

/// Parses an invocation of a server: its target and arguments. Returns `None` for other messages.
pub fn decode_invocation(text: &[u8]) -> Option<(String, Json)> {
    let Json::Object(mut members) = first_value(text)? else { return None };
    let target = members.get("target").and_then(Json::as_str).unwrap_or(RECEIVE_MESSAGE).to_owned();
    (members.get("type")? == 1).then(|| (target, members.remove("arguments").unwrap_or(Json::Array(Vec::new()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_text_escapes_what_dotnet_escapes() {
        let mut text = Vec::new();
        write_text("\u{feff}\u{2028}\u{a0}\u{7f}\0\"<é☃😀\u{fffd}", &mut text);
        let expected = r#""\uFEFF\u2028\u00A0\u007F\u0000\"<é☃\uD83D\uDE00"#.to_owned() + "\u{fffd}\"";
        assert_eq!(String::from_utf8(text).as_deref(), Ok(expected.as_str()));
    }
}
