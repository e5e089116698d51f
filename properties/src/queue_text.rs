//! Checks the text of a message in an Azure Storage queue.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use notification_hub::ingest::azure_queue::content::{DecodedMessage, read};
use notification_hub::notification;

/// The secret that replaces each `$` of an input.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ=";

/// The maximum length of the reason in a poison message.
const MAX_REASON_BYTES: usize = 400;

/// Checks that a push is the same in plain text and in Base64, also with white space. A reason must be short and quote nothing.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('$', SECRET);
    let content = read(&text);
    match &content {
        DecodedMessage::Invalid(malformed) => {
            let reason = malformed.to_string();
            assert!(!reason.contains(SECRET) && reason.len() <= MAX_REASON_BYTES && !reason.contains('\n'), "{reason}");
        }
        DecodedMessage::Push(push) => {
            let decoded = BASE64.decode(text.split_ascii_whitespace().collect::<String>());
            let read = [Some(text.as_bytes()), decoded.as_deref().ok()].map(|bytes| notification::read(bytes?).ok()?);
            assert!(read.contains(&Some(push.clone())), "the push is that of the text or of its decoded bytes");
        }
        DecodedMessage::Empty => {}
    }
    let encoded = BASE64.encode(&text);
    let spaced = format!(" \r\n{encoded}\t");
    for other in [&encoded, &spaced] {
        match notification::read(text.as_bytes()) {
            Ok(_) => assert_eq!(read(other), content),
            Err(_) => assert!(!matches!(read(other), DecodedMessage::Push(_)), "once encoded, once decoded"),
        }
    }
}
