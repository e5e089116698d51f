//! The first words.

use notification_hub::signalr::CloseReason;
use notification_hub::signalr::protocol::Protocol;
use notification_hub::signalr::protocol::handshake::{self, HANDSHAKE_OK, HandshakeAbort, HandshakeError};
use serde_json::Value;

use super::talk::fresh;
use crate::contract::text;

fn unframed(text: &str) -> &[u8] {
    text.strip_suffix('\u{1e}').expect("a separator").as_bytes()
}

/// Read as it is meant; most of these name protocols that no hub speaks.
pub(crate) fn valid(row: &Value) {
    let name = text(row, "protocol");
    let expected = Protocol::from_name(name).ok_or_else(|| HandshakeError::Protocol(name.to_owned()));
    assert_eq!(handshake::read(unframed(text(row, "text"))), expected);
}

pub(crate) fn incomplete(row: &Value) {
    let said = text(row, "text").as_bytes();
    assert_eq!(fresh(said), (Vec::new(), None, said.to_vec()));
}

pub(crate) fn invalid(row: &Value) {
    let (heard, ending, _) = fresh(text(row, "text").as_bytes());
    assert_eq!(heard, [text(row, "wire_effect").as_bytes()]);
    assert_eq!(ending, Some(CloseReason::Handshake(HandshakeError::Malformed)));
}

pub(crate) fn response(row: &Value) {
    let answer = text(row, "text");
    let Some(request) = row["request"].as_str() else {
        // For our client: an error, also an empty one, is a refusal.
        let error = handshake::parse_response(unframed(answer)).expect("an answer");
        assert_eq!(error.as_deref(), row["error"].as_str());
        return;
    };
    if request.ends_with("over ServerSentEvents") {
        // There is no SSE yet: WebSockets take both formats.
        assert_eq!(fresh(request.trim_end_matches(" over ServerSentEvents").as_bytes()).0, [HANDSHAKE_OK]);
    } else if request.starts_with("(nothing") {
        for why in [HandshakeAbort::Timeout, HandshakeAbort::TooLarge] {
            assert_eq!(HandshakeError::Canceled(why).response(), answer.as_bytes());
        }
    } else {
        assert_eq!(fresh(request.as_bytes()).0, [answer.as_bytes()]);
    }
}
