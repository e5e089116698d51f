//! The text of a message on an Azure Storage queue.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use notification_hub::ingest::azure_queue::content::{DecodedMessage, read};
use notification_hub::notification;

/// What every `$` of an input stands for.
const SECRET: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQ=";

/// The longest reason that is put in front of a poison message, in bytes.
const MAX_REASON: usize = 400;

/// A push is the same push as it is and in Base64, with white space around it; a reason is short and quotes nothing.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace('$', SECRET);
    let content = read(&text);
    match &content {
        DecodedMessage::Invalid(malformed) => {
            let reason = malformed.to_string();
            assert!(!reason.contains(SECRET) && reason.len() <= MAX_REASON && !reason.contains('\n'), "{reason}");
        }
        DecodedMessage::Push(push) => {
            let decoded = BASE64.decode(text.split_ascii_whitespace().collect::<String>());
            let read = [Some(text.as_bytes()), decoded.as_deref().ok()].map(|bytes| notification::read(bytes?).ok()?);
            assert!(read.contains(&Some(push.clone())), "it is what the text or the bytes say");
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
