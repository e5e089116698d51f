//! Handshake requests and responses.

use notification_hub::signalr::protocol::Protocol;
use notification_hub::signalr::protocol::handshake::{self, HandshakeAbort, HandshakeError};
use notification_hub::signalr::{CloseReason, Transport};
use serde_json::Value;

use super::session::{Outcome, run_new};
use crate::contract::text;

fn run_on_websocket(received: &[u8]) -> Outcome {
    run_new(Transport::WebSockets, received)
}

fn unframed(text: &str) -> &[u8] {
    text.strip_suffix('\u{1e}').expect("a separator").as_bytes()
}

/// Checks that a request is parsed. Most rows name protocols that this hub does not support.
pub(crate) fn valid(row: &Value) {
    let name = text(row, "protocol");
    let expected = Protocol::from_name(name).ok_or_else(|| HandshakeError::Protocol(name.to_owned()));
    assert_eq!(handshake::read(unframed(text(row, "text"))), expected);
}

pub(crate) fn incomplete(row: &Value) {
    let received = text(row, "text").as_bytes();
    assert_eq!(run_on_websocket(received), (Vec::new(), None, received.to_vec()));
}

pub(crate) fn invalid(row: &Value) {
    let (sent, close_reason, _) = run_on_websocket(text(row, "text").as_bytes());
    assert_eq!(sent, [text(row, "wire_effect").as_bytes()]);
    assert_eq!(close_reason, Some(CloseReason::Handshake(HandshakeError::Malformed)));
}

pub(crate) fn response(row: &Value) {
    let answer = text(row, "text");
    let Some(request) = row["request"].as_str() else {
        // Rows without a request are for the client. Any error, also an empty one, rejects the handshake.
        let error = handshake::parse_response(unframed(answer)).expect("a response");
        assert_eq!(error.as_deref(), row["error"].as_str());
        return;
    };
    if let Some(request) = request.strip_suffix(" over ServerSentEvents") {
        assert_eq!(run_new(Transport::ServerSentEvents, request.as_bytes()).0, [answer.as_bytes()]);
    } else if request.starts_with("(nothing") {
        for reason in [HandshakeAbort::Timeout, HandshakeAbort::TooLarge] {
            assert_eq!(HandshakeError::Canceled(reason).response(), answer.as_bytes());
        }
    } else {
        assert_eq!(run_on_websocket(request.as_bytes()).0, [answer.as_bytes()]);
    }
}
