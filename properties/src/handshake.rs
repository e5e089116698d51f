//! The first words of a client.

use notification_hub::signalr::protocol::Protocol;
use notification_hub::signalr::protocol::handshake::{self, HANDSHAKE_OK};
use notification_hub::signalr::{CloseReason, Session, SessionConfig, SessionSink, Tick, Transport};

use crate::cuts::cuts;

/// Larger than any input here.
const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive: 150,
    client_timeout: 300,
    message_timeout: 300,
    max_message: 1 << 20,
};

#[derive(Debug, Default, PartialEq)]
struct Heard {
    opened: Option<Protocol>,
    messages: Vec<Vec<u8>>,
}

impl SessionSink for Heard {
    fn handshake_complete(&mut self, protocol: Protocol) {
        assert!(self.messages.is_empty(), "the client joins its groups before the answer");
        self.opened = Some(protocol);
    }

    fn write_message(&mut self, _: Protocol, body: &[u8]) {
        self.messages.push(body.to_vec());
    }
}

/// However it is cut, a handshake has one outcome, and a refusal says why; what is around the object does not matter.
pub(crate) fn check(input: &[u8]) {
    let text = input.split(|byte| *byte == 0x1e).next().unwrap_or_default();
    let outcome = handshake::read(text);
    let expected = match &outcome {
        Ok(protocol) => (Heard { opened: Some(*protocol), messages: vec![HANDSHAKE_OK.to_vec()] }, None),
        Err(error) => {
            let answer = error.response();
            let unframed = answer.strip_suffix(b"\x1e").expect("a separator");
            assert_eq!(handshake::parse_response(unframed), Some(Some(error.to_string())));
            (Heard { opened: None, messages: vec![answer] }, Some(CloseReason::Handshake(error.clone())))
        }
    };
    let said = [text, b"\x1e"].concat();
    for pieces in cuts(&said) {
        assert_eq!(answered(&pieces, false), expected, "in {} pieces", pieces.len());
    }
    if handshake::is_complete_json(text) {
        assert_eq!(handshake::read(&[b" \r\n\t", text, b"{}"].concat()), outcome);
        // Without its separator, at the end of a transport's message.
        for pieces in cuts(text) {
            assert_eq!(answered(&pieces, true), expected, "in {} pieces", pieces.len());
        }
    } else {
        let (heard, ending) = answered(&[text], true);
        assert_eq!((heard, ending), (Heard::default(), None), "it is waited on");
    }
}

/// What a new client hears, and how it ended; `ends` says that the last piece ends a message.
fn answered(pieces: &[&[u8]], ends: bool) -> (Heard, Option<CloseReason>) {
    let mut session = Session::new(Transport::WebSockets, Tick(0));
    let (mut held, mut heard) = (Vec::new(), Heard::default());
    for (place, piece) in pieces.iter().enumerate() {
        let ends = ends && place + 1 == pieces.len();
        let ending = session.receive(&mut held, piece, ends, Tick(0), &SESSION_CONFIG, &mut heard);
        if ending.is_some() {
            return (heard, ending);
        }
    }
    (heard, None)
}
