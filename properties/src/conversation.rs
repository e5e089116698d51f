//! A client's whole life behind a WebSocket, from its handshake on.

use notification_hub::signalr::protocol::messagepack::Reader;
use notification_hub::signalr::protocol::{self, Protocol};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, Tick, Transport};
use notification_hub::websocket::{Opcode, Outgoing, WebSocket};
use serde_json::Value;

use crate::cuts::cuts;
use crate::websocket_frames::{framed, from_server};

/// Small messages are enough to be too large.
pub(crate) const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive: 150,
    client_timeout: 300,
    message_timeout: 300,
    max_message: 512,
};

/// The first byte says how the rest is sent: behind which handshake, and as frames, as one message or as fragments. However
/// it is cut, the answers and the end are the same, the answers are what a client can read, and little is held of it.
pub(crate) fn check(input: &[u8]) {
    let Some((how, said)) = input.split_first() else { return };
    let (opcode, hello): (_, &[u8]) = match how & 3 {
        0 => (Opcode::Text, b""),
        1 => (Opcode::Text, b"{\"protocol\":\"json\",\"version\":1}"),
        2 => (Opcode::Text, b"{\"protocol\":\"json\",\"version\":1}\x1e"),
        _ => (Opcode::Binary, b"{\"protocol\":\"messagepack\",\"version\":1}\x1e"),
    };
    holds_little(&[hello, said].concat());
    let mut bytes = framed(opcode, &[hello]);
    let opcode = if how & 4 == 0 { Opcode::Binary } else { Opcode::Text };
    match how >> 3 & 3 {
        0 | 1 => bytes.extend_from_slice(said),
        2 => bytes.extend(framed(opcode, &[said])),
        _ => bytes.extend(framed(opcode, &cuts(said)[3])),
    }
    let (answers, ending) = heard(&[&bytes]);
    read(&answers, ending.is_some());
    for pieces in cuts(&bytes) {
        let (others, end) = heard(&pieces);
        if answers.ends_with(INVALID_TEXT) {
            // Of what precedes the invalid letters in the same frame, more or less was heard before they came.
            assert!(end.is_some());
            read(&others, true);
        } else {
            let (count, said) = (pieces.len(), others.escape_ascii());
            assert!(others == answers && end == ending, "in {count} pieces: {said} {end:?}, {ending:?} at once");
        }
    }
}

/// The Close that says so.
const INVALID_TEXT: &[u8] = &[0x88, 0x02, 0x03, 0xef];

/// No client makes the hub hold as much as the largest message, however slowly it speaks.
fn holds_little(said: &[u8]) {
    for pieces in cuts(said) {
        let mut session = Session::new(Transport::WebSockets, Tick(0));
        let mut held = Vec::new();
        for piece in pieces {
            if session.receive(&mut held, piece, false, Tick(0), &SESSION_CONFIG, &mut Outgoing::default()).is_some() {
                break;
            }
            assert!(held.len() < SESSION_CONFIG.max_message, "{} bytes are held", held.len());
        }
    }
}

fn heard(pieces: &[&[u8]]) -> (Vec<u8>, Option<CloseReason>) {
    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut outgoing = Outgoing::default();
    // The hub unmasks in place.
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

/// Every answer is a whole frame with one whole message; a Close comes last, and only at the end.
fn read(mut answers: &[u8], over: bool) {
    let mut closed = false;
    while !answers.is_empty() {
        assert!(!closed, "something behind the Close: {}", answers.escape_ascii());
        let (first, payload, rest) = from_server(answers).expect("whole frames");
        match first {
            0x81 => drop(json(payload)),
            // A handshake's answer is JSON whatever the protocol.
            0x82 if payload.first() == Some(&b'{') => drop(json(payload)),
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

fn json(payload: &[u8]) -> Value {
    let text = payload.strip_suffix(b"\x1e").expect("a separator");
    assert!(!text.contains(&0x1e), "one message each");
    let value: Value = serde_json::from_slice(text).expect("JSON");
    assert!(value.is_object());
    value
}
