//! Runs sessions on the bytes of a client and checks what they send.

use notification_hub::signalr::protocol::{self, CLOSED_WITH_ERROR, Protocol, ServerMessage, handshake};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, SessionSink, Tick, Transport};
use serde_json::Value;

use crate::contract::{hex, text};

/// The limits of the sessions. The tests depend on the maximum message size only.
pub(crate) const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 32 * 1024,
};

/// The messages that a session sends, in order.
#[derive(Default)]
struct SentMessages(Vec<Vec<u8>>);

impl SessionSink for SentMessages {
    fn handshake_complete(&mut self, _: Protocol) {}

    fn write_message(&mut self, _: Protocol, body: &[u8]) {
        self.0.push(body.to_vec());
    }
}

/// The messages that a session sent, why it ended if it did, and the bytes that it buffers.
pub(crate) type Outcome = (Vec<Vec<u8>>, Option<CloseReason>, Vec<u8>);

/// Runs a new session on the first bytes of a client.
pub(crate) fn run_new(transport: Transport, received: &[u8]) -> Outcome {
    let mut session = Session::new(transport, Tick(0));
    let (mut sent, mut buffered) = (SentMessages::default(), Vec::new());
    let close_reason = session.receive(&mut buffered, received, false, Tick(0), &SESSION_CONFIG, &mut sent);
    (sent.0, close_reason, buffered)
}

/// Runs a session on the bytes that a client sends after its handshake.
pub(crate) fn run_open(protocol: Protocol, received: &[u8]) -> Outcome {
    let request = format!("{{\"protocol\":\"{}\",\"version\":1}}\u{1e}", protocol.name());
    let (mut sent, close_reason, buffered) = run_new(Transport::WebSockets, &[request.as_bytes(), received].concat());
    assert_eq!(sent.remove(0), handshake::HANDSHAKE_OK);
    (sent, close_reason, buffered)
}

/// Asserts that the bytes violate the protocol: the session sends a Close with an error and ends.
pub(crate) fn assert_protocol_error(protocol: Protocol, received: &[u8]) {
    let (sent, close_reason, _) = run_open(protocol, received);
    let close = ServerMessage::Close { error: Some(CLOSED_WITH_ERROR), allow_reconnect: true };
    assert_eq!(sent, [protocol::encode(protocol, close)]);
    assert!(matches!(close_reason, Some(CloseReason::Protocol(_))), "{close_reason:?}");
}

/// Asserts that the bytes invoke an unknown method: the session answers if there is an invocation id, and stays open.
pub(crate) fn assert_unknown_method(protocol: Protocol, received: &[u8], id: Option<&str>, target: &str) {
    let error = protocol::unknown_method(target);
    let answer = id.map(|id| protocol::encode(protocol, ServerMessage::CompletionError { id, error: &error }));
    assert_eq!(run_open(protocol, received), (answer.into_iter().collect(), None, Vec::new()));
}

pub(crate) fn close(row: &Value) {
    let error = text(row, "json").contains("error").then_some(CLOSED_WITH_ERROR);
    let close = ServerMessage::Close { error, allow_reconnect: text(row, "json").contains("allowReconnect") };
    assert_eq!(protocol::encode(Protocol::Json, close), text(row, "json").as_bytes());
    assert_eq!(protocol::encode(Protocol::MessagePack, close), hex(text(row, "messagepack_frame_hex")));
}

pub(crate) fn unknown_method(row: &Value) {
    let (sent, close_reason, _) = run_open(Protocol::Json, text(row, "request_json").as_bytes());
    let expected: Vec<Vec<u8>> =
        row["response_json"].as_str().map(|text| text.as_bytes().to_vec()).into_iter().collect();
    assert_eq!((sent, close_reason), (expected, None));
    if let Some(frame) = row["response_messagepack_frame_hex"].as_str() {
        let call = hex("0c960180a130a44e6f70659090");
        assert_eq!(run_open(Protocol::MessagePack, &call), (vec![hex(frame)], None, Vec::new()));
    }
}
