//! What a message's text holds. No I/O.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::de::IgnoredAny;

use crate::notification::{self, MalformedPush, Notification};

/// What a message's text holds.
#[derive(Debug, PartialEq)]
pub enum DecodedMessage {
    /// Nothing.
    Empty,
    /// A push.
    Push(Notification),
    /// Something else.
    Invalid(MalformedPush),
}

/// Reads a text: Base64 if JSON or nothing comes of that, else as it is.
pub fn read(text: &str) -> DecodedMessage {
    let decoded = decode(text).filter(|bytes| is_json_or_blank(bytes));
    match notification::read(decoded.as_deref().unwrap_or(text.as_bytes())) {
        Ok(None) => DecodedMessage::Empty,
        Ok(Some(push)) => DecodedMessage::Push(push),
        Err(malformed) => DecodedMessage::Invalid(malformed),
    }
}

/// Decodes Base64, in which white space has no meaning: some encoders break lines.
fn decode(text: &str) -> Option<Vec<u8>> {
    // Of a text that is JSON only the first byte is looked at.
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) || byte.is_ascii_whitespace();
    if !text.bytes().all(is_base64) {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(digits).ok()
}

/// Whether bytes are JSON or blank.
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
    fn read_raw_and_base64_yield_the_same_push() {
        let raw = read(PUSH);
        assert!(matches!(&raw, DecodedMessage::Push(push) if push.kind == 99));
        assert_eq!(read(&base64(PUSH)), raw);
        assert_eq!(read(&format!("{}\r\n", base64(&format!("\u{feff}{PUSH}")))), raw);
    }

    #[test]
    fn read_base64_with_white_space_is_decoded() {
        let digits = base64(PUSH);
        for separator in ["\r\n", "\n", " ", "\t"] {
            let (first, rest) = digits.split_at(76);
            assert_eq!(read(&format!(" {first}{separator}{rest}{separator}")), read(PUSH), "{separator:?}");
        }
    }

    #[test]
    fn read_blank_raw_or_base64_is_blank() {
        for text in ["", " \n", &base64(" "), &base64("\u{feff}")] {
            assert_eq!(read(text), DecodedMessage::Empty, "{text:?}");
        }
    }

    #[test]
    fn read_invalid_text_is_malformed_with_its_parse_error() {
        let error = |text: &str| match read(text) {
            DecodedMessage::Invalid(malformed) => malformed.to_string(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(error(&base64(r#"{"type":300}"#)), "push.Type: a number from 0 to 255 is needed here");
        assert!(error("garbage").starts_with("push: expected value"), "{}", error("garbage"));
        assert!(error(&base64("garbage")).starts_with("push: expected value"));
    }
}
