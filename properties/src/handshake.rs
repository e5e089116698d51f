//! Checks the SignalR handshake.

use notification_hub::signalr::protocol::Protocol;
use notification_hub::signalr::protocol::handshake::{self, HANDSHAKE_OK};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, SessionSink, Tick, Transport};

use crate::splits::splits;

/// Limits that no input here exceeds.
const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 1 << 20,
};

/// A session sink that records the completed handshake and the messages to the client.
#[derive(Debug, Default, PartialEq)]
struct RecordingSink {
    completed: Option<Protocol>,
    messages: Vec<Vec<u8>>,
}

impl SessionSink for RecordingSink {
    fn handshake_complete(&mut self, protocol: Protocol) {
        assert!(self.messages.is_empty(), "the client joins its groups before the answer");
        self.completed = Some(protocol);
    }

    fn write_message(&mut self, _: Protocol, body: &[u8]) {
        self.messages.push(body.to_vec());
    }
}

/// Checks that each split of a handshake has the same outcome, and that a refusal has a reason. Bytes around the object must not
/// matter.
pub(crate) fn check(input: &[u8]) {
    let text = input.split(|byte| *byte == 0x1e).next().unwrap_or_default();
    let outcome = handshake::read(text);
    let expected = match &outcome {
        Ok(protocol) => (RecordingSink { completed: Some(*protocol), messages: vec![HANDSHAKE_OK.to_vec()] }, None),
        Err(error) => {
            let answer = error.response();
            let unframed = answer.strip_suffix(b"\x1e").expect("a separator");
            assert_eq!(handshake::parse_response(unframed), Some(Some(error.to_string())));
            (RecordingSink { completed: None, messages: vec![answer] }, Some(CloseReason::Handshake(error.clone())))
        }
    };
    let sent = [text, b"\x1e"].concat();
    for pieces in splits(&sent) {
        assert_eq!(receive_pieces(&pieces, false), expected, "in {} pieces", pieces.len());
    }
    if handshake::is_complete_json(text) {
        assert_eq!(handshake::read(&[b" \r\n\t", text, b"{}"].concat()), outcome);
        // The separator may be missing at the end of a WebSocket message.
        for pieces in splits(text) {
            assert_eq!(receive_pieces(&pieces, true), expected, "in {} pieces", pieces.len());
        }
    } else {
        let (recorded, ending) = receive_pieces(&[text], true);
        assert_eq!((recorded, ending), (RecordingSink::default(), None), "an incomplete handshake has no answer");
    }
}

/// Returns what a new session answers and why it ended, or `None` if it did not. If `ends`, the last piece ends a message.
fn receive_pieces(pieces: &[&[u8]], ends: bool) -> (RecordingSink, Option<CloseReason>) {
    let mut session = Session::new(Transport::WebSockets, Tick(0));
    let (mut buffer, mut recorded) = (Vec::new(), RecordingSink::default());
    for (place, piece) in pieces.iter().enumerate() {
        let ends = ends && place + 1 == pieces.len();
        let ending = session.receive(&mut buffer, piece, ends, Tick(0), &SESSION_CONFIG, &mut recorded);
        if ending.is_some() {
            return (recorded, ending);
        }
    }
    (recorded, None)
}
