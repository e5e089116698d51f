//! Checks a session over a WebSocket, from its handshake to its end.

use notification_hub::signalr::protocol::messagepack::Reader;
use notification_hub::signalr::protocol::{self, Protocol};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, Tick, Transport};
use notification_hub::websocket::{Opcode, Outgoing, WebSocket};
use serde_json::Value;

use crate::splits::splits;
use crate::websocket_frames::{frame_message, parse_server_frame};

/// Limits that small messages exceed.
pub(crate) const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 512,
};

/// Checks that each split of an input has the same answers and close reason, that a client can read the answers, and that the
/// buffer is bounded. The first byte selects the handshake, and whether the rest is frames, one message or fragments.
pub(crate) fn check(input: &[u8]) {
    let Some((mode, sent)) = input.split_first() else { return };
    let (opcode, handshake): (_, &[u8]) = match mode & 3 {
        0 => (Opcode::Text, b""),
        1 => (Opcode::Text, b"{\"protocol\":\"json\",\"version\":1}"),
        2 => (Opcode::Text, b"{\"protocol\":\"json\",\"version\":1}\x1e"),
        _ => (Opcode::Binary, b"{\"protocol\":\"messagepack\",\"version\":1}\x1e"),
    };
    assert_buffer_is_bounded(&[handshake, sent].concat());
    let mut bytes = frame_message(opcode, &[handshake]);
    let opcode = if mode & 4 == 0 { Opcode::Binary } else { Opcode::Text };
    match mode >> 3 & 3 {
        0 | 1 => bytes.extend_from_slice(sent),
        2 => bytes.extend(frame_message(opcode, &[sent])),
        _ => bytes.extend(frame_message(opcode, &splits(sent)[3])),
    }
    let (answers, ending) = receive_all(&[&bytes]);
    assert_readable(&answers, ending.is_some());
    for pieces in splits(&bytes) {
        let (others, end) = receive_all(&pieces);
        if answers.ends_with(INVALID_TEXT) {
            // Messages before the invalid letters, in the same frame, may be handled or not.
            assert!(end.is_some());
            assert_readable(&others, true);
        } else {
            let (count, sent) = (pieces.len(), others.escape_ascii());
            assert!(others == answers && end == ending, "in {count} pieces: {sent} {end:?}, {ending:?} at once");
        }
    }
}

/// The Close frame with status code 1007.
const INVALID_TEXT: &[u8] = &[0x88, 0x02, 0x03, 0xef];

/// Panics if some split of an input makes a session buffer as much as the largest message.
fn assert_buffer_is_bounded(sent: &[u8]) {
    for pieces in splits(sent) {
        let mut session = Session::new(Transport::WebSockets, Tick(0));
        let mut buffer = Vec::new();
        for piece in pieces {
            if session.receive(&mut buffer, piece, false, Tick(0), &SESSION_CONFIG, &mut Outgoing::default()).is_some()
            {
                break;
            }
            assert!(buffer.len() < SESSION_CONFIG.maximum_receive_message_size, "{} buffered bytes", buffer.len());
        }
    }
}

/// Returns the answers to some pieces, and why the session ended, or `None` if it did not.
fn receive_all(pieces: &[&[u8]]) -> (Vec<u8>, Option<CloseReason>) {
    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut outgoing = Outgoing::default();
    // `receive` unmasks in place.
    let mut unmasked = Vec::new();
    for piece in pieces {
        unmasked.clear();
        unmasked.extend_from_slice(piece);
        let ending = websocket.receive(&mut unmasked, Tick(0), &SESSION_CONFIG, &mut outgoing);
        if ending.is_some() {
            return (outgoing.bytes, ending);
        }
    }
    (outgoing.bytes, None)
}

/// Panics unless each answer is a whole frame with one whole message. A Close frame must come last, if and only if `over`.
fn assert_readable(mut answers: &[u8], over: bool) {
    let mut closed = false;
    while !answers.is_empty() {
        assert!(!closed, "something behind the Close: {}", answers.escape_ascii());
        let (first, payload, rest) = parse_server_frame(answers).expect("whole frames");
        match first {
            0x81 => drop(parse_json(payload)),
            // The handshake response is JSON in both protocols.
            0x82 if payload.first() == Some(&b'{') => drop(parse_json(payload)),
            0x82 => {
                let (body, taken) = protocol::split_message(Protocol::MessagePack, payload, usize::MAX)
                    .expect("a length")
                    .expect("a message");
                assert_eq!(taken, payload.len());
                assert!(Reader::new(body).value().is_some_and(|value| value.is_array()));
            }
            0x88 => closed = true,
            0x8a => assert!(payload.len() <= 125),
            other => panic!("a frame that begins with {other:x}"),
        }
        answers = rest;
    }
    assert_eq!(closed, over, "a Close if it is over");
}

fn parse_json(payload: &[u8]) -> Value {
    let text = payload.strip_suffix(b"\x1e").expect("a separator");
    assert!(!text.contains(&0x1e), "one message each");
    let value: Value = serde_json::from_slice(text).expect("JSON");
    assert!(value.is_object());
    value
}
