//! Decodes the text of a queue message. No I/O.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::IgnoredAny;

use crate::notification::{self, MalformedPush, Notification};

/// A decoded queue message.
#[derive(Debug, PartialEq)]
pub enum DecodedMessage {
    /// Blank text.
    Empty,
    /// A push.
    Push(Notification),
    /// Text that is not a push.
    Invalid(MalformedPush),
}

/// Decodes a text. It is Base64 if its decoded bytes are JSON or blank, else plain text.
pub fn read(text: &str) -> DecodedMessage {
    let decoded = decode(text).filter(|bytes| is_json_or_blank(bytes));
    match notification::read(decoded.as_deref().unwrap_or(text.as_bytes())) {
        Ok(None) => DecodedMessage::Empty,
        Ok(Some(push)) => DecodedMessage::Push(push),
        Err(malformed) => DecodedMessage::Invalid(malformed),
    }
}

/// Decodes Base64, or returns `None` if it is invalid. Ignores white space, because some encoders break lines.
fn decode(text: &str) -> Option<Vec<u8>> {
    // JSON fails this at its first byte, so plain text costs nothing.
    let is_base64_or_space =
        |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace();
    if !text.bytes().all(is_base64_or_space) {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(digits).ok()
}

/// Returns whether bytes are JSON or blank text.
fn is_json_or_blank(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).ok().map(|text| text.trim_start_matches('\u{feff}').trim());
    text.is_some_and(|text| text.is_empty() || serde_json::from_str::<IgnoredAny>(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = r#"{"Type":99,"Payload":{"UserId":"d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c"}}"#;

    fn base64(text: &str) -> String {
        BASE64_STANDARD.encode(text)
    }

    #[test]
    fn read_text_and_base64_return_the_same_push() {
        let raw = read(PUSH);
        assert!(matches!(&raw, DecodedMessage::Push(push) if push.kind == 99));
        assert_eq!(read(&base64(PUSH)), raw);
        assert_eq!(read(&format!("{}\r\n", base64(&format!("\u{feff}{PUSH}")))), raw);
    }

    #[test]
    fn read_base64_with_white_space_decodes_it() {
        let digits = base64(PUSH);
        for separator in ["\r\n", "\n", " ", "\t"] {
            let (first, rest) = digits.split_at(76);
            assert_eq!(read(&format!(" {first}{separator}{rest}{separator}")), read(PUSH), "{separator:?}");
        }
    }

    #[test]
    fn read_blank_text_or_base64_returns_empty() {
        for text in ["", " \n", &base64(" "), &base64("\u{feff}")] {
            assert_eq!(read(text), DecodedMessage::Empty, "{text:?}");
        }
    }

    #[test]
    fn read_invalid_text_returns_its_parse_error() {
        let error = |text: &str| match read(text) {
            DecodedMessage::Invalid(malformed) => malformed.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(error(&base64(r#"{"type":300}"#)), "push.Type: must be a number from 0 to 255");
        assert!(error("garbage").starts_with("push: expected value"), "{}", error("garbage"));
        assert!(error(&base64("garbage")).starts_with("push: expected value"));
    }
}
