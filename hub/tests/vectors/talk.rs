//! What a client hears for what it says, after a good handshake.

use notification_hub::signalr::protocol::{self, CLOSED_WITH_ERROR, Protocol, ServerMessage, handshake};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, SessionSink, Tick, Transport};
use serde_json::Value;

use crate::contract::{hex, text};

/// Times that do not matter here, and the size that counts.
pub(crate) const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive: 150,
    client_timeout: 300,
    message_timeout: 300,
    max_message: 32 * 1024,
};

/// Everything that a session says, one after the other.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Vec<Vec<u8>>);

impl SessionSink for Heard {
    fn handshake_complete(&mut self, _: Protocol) {}

    fn write_message(&mut self, _: Protocol, body: &[u8]) {
        self.0.push(body.to_vec());
    }
}

/// What a new client hears for these bytes, how it ended, and what was held of them.
pub(crate) fn fresh(said: &[u8]) -> (Vec<Vec<u8>>, Option<CloseReason>, Vec<u8>) {
    let mut session = Session::new(Transport::WebSockets, Tick(0));
    let (mut heard, mut held) = (Heard::default(), Vec::new());
    let ending = session.receive(&mut held, said, false, Tick(0), &SESSION_CONFIG, &mut heard);
    (heard.0, ending, held)
}

/// The same behind a handshake.
pub(crate) fn talk(protocol: Protocol, said: &[u8]) -> (Vec<Vec<u8>>, Option<CloseReason>, Vec<u8>) {
    let hello = format!("{{\"protocol\":\"{}\",\"version\":1}}\u{1e}", protocol.name());
    let (mut heard, ending, held) = fresh(&[hello.as_bytes(), said].concat());
    assert_eq!(heard.remove(0), handshake::HANDSHAKE_OK);
    (heard, ending, held)
}

/// The client breaks the protocol: it is told so and let go.
pub(crate) fn broken(protocol: Protocol, said: &[u8]) {
    let (heard, ending, _) = talk(protocol, said);
    let close = ServerMessage::Close { error: Some(CLOSED_WITH_ERROR), allow_reconnect: true };
    assert_eq!(heard, [protocol::encode(protocol, close)]);
    assert!(matches!(ending, Some(CloseReason::Protocol(_))), "{ending:?}");
}

/// The client calls what does not exist: it is told so if it gave an id, and stays.
pub(crate) fn unknown(protocol: Protocol, said: &[u8], id: Option<&str>, target: &str) {
    let error = protocol::unknown_method(target);
    let answer = id.map(|id| protocol::encode(protocol, ServerMessage::CompletionError { id, error: &error }));
    assert_eq!(talk(protocol, said), (answer.into_iter().collect(), None, Vec::new()));
}

pub(crate) fn close(row: &Value) {
    let error = text(row, "json").contains("error").then_some(CLOSED_WITH_ERROR);
    let close = ServerMessage::Close { error, allow_reconnect: text(row, "json").contains("allowReconnect") };
    assert_eq!(protocol::encode(Protocol::Json, close), text(row, "json").as_bytes());
    assert_eq!(protocol::encode(Protocol::MessagePack, close), hex(text(row, "messagepack_frame_hex")));
}

pub(crate) fn unknown_method(row: &Value) {
    let (heard, ending, _) = talk(Protocol::Json, text(row, "request_json").as_bytes());
    let expected: Vec<Vec<u8>> =
        row["response_json"].as_str().map(|text| text.as_bytes().to_vec()).into_iter().collect();
    assert_eq!((heard, ending), (expected, None));
    if let Some(frame) = row["response_messagepack_frame_hex"].as_str() {
        let call = hex("0c960180a130a44e6f70659090");
        assert_eq!(talk(Protocol::MessagePack, &call), (vec![hex(frame)], None, Vec::new()));
    }
}
