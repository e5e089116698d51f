//! Tests of a session with given bytes and times.

use super::*;
use crate::signalr::protocol::{ProtocolError, encode, varint};

const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 256,
};

const JSON: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
const MESSAGEPACK: &[u8] = b"{\"protocol\":\"messagepack\",\"version\":1}\x1e";
const CALL: &[u8] = b"{\"type\":1,\"invocationId\":\"7\",\"target\":\"Nope\",\"arguments\":[]}\x1e";
const CLIENT_PING: &[u8] = b"{\"type\":6}\x1e";
const CLOSED: &str = r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

/// A session with the messages that it has written, as text without the separator.
struct TestSession {
    session: Session,
    buffer: Vec<u8>,
    recorder: Recorder,
}

#[derive(Default)]
struct Recorder(Vec<String>);

impl SessionSink for Recorder {
    fn handshake_complete(&mut self, protocol: Protocol) {
        self.0.push(format!("opened {}", protocol.name()));
    }

    fn write_message(&mut self, _: Protocol, body: &[u8]) {
        self.0.push(shown(body));
    }
}

fn shown(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.trim_end_matches('\u{1e}').to_owned(),
        Err(_) => body.escape_ascii().to_string(),
    }
}

impl TestSession {
    fn new() -> TestSession {
        TestSession::with_transport(Transport::WebSockets)
    }

    fn with_transport(transport: Transport) -> TestSession {
        TestSession { session: Session::new(transport, Tick(0)), buffer: Vec::new(), recorder: Recorder::default() }
    }

    /// Creates a session with a completed handshake.
    fn open(handshake: &[u8]) -> TestSession {
        let mut test = TestSession::new();
        assert_eq!(test.receive(handshake, 0), None);
        test.session.sent(Tick(0));
        test.recorder.0.clear();
        test
    }

    /// Passes a part of a message of the transport to the session.
    fn receive(&mut self, bytes: &[u8], now: u32) -> Option<CloseReason> {
        self.session.receive(&mut self.buffer, bytes, false, Tick(now), &SESSION_CONFIG, &mut self.recorder)
    }

    /// Passes a complete message of the transport, or its end, to the session.
    fn receive_end(&mut self, bytes: &[u8], now: u32) -> Option<CloseReason> {
        self.session.receive(&mut self.buffer, bytes, true, Tick(now), &SESSION_CONFIG, &mut self.recorder)
    }

    fn advance_to(&mut self, now: u32) -> Option<CloseReason> {
        match self.session.on_timeout(Tick(now), &SESSION_CONFIG)? {
            TimeoutAction::SendPing(protocol) => {
                self.recorder.write_message(protocol, protocol.ping());
                self.session.sent(Tick(now));
                None
            }
            TimeoutAction::Close(reason) => Some(self.session.close(reason, &mut self.recorder)),
        }
    }

    fn next_timeout(&self) -> Option<u32> {
        self.session.next_timeout(&SESSION_CONFIG).map(|tick| tick.0)
    }

    /// Returns the messages since the last call.
    fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.recorder.0)
    }
}

fn failed(id: &str, target: &str) -> String {
    let error = protocol::unknown_method(target);
    shown(&encode(Protocol::Json, ServerMessage::CompletionError { id, error: &error }))
}

#[test]
fn handshake_request_is_answered_with_success_or_error() {
    let error = |text: &str| vec![format!("{{\"error\":\"{text}\"}}")];
    let malformed = || error("An unexpected error occurred during connection handshake.");
    let good = |protocol: &str| vec![format!("opened {protocol}"), "{}".to_owned()];
    for (input, expected) in [
        ("{\"protocol\":\"json\",\"version\":1}\x1e", good("json")),
        ("{\"version\":2,\"protocol\":\"MessagePack\"}\x1e", good("messagepack")),
        (" {\"protocol\":\"json\",\"version\":-1} behind\x1e", good("json")),
        ("{\"protocol\":\"json\",\"version\":3}\x1e", {
            error("The server does not support version 3 of the 'json' protocol.")
        }),
        ("{\"protocol\":\"x\",\"version\":1}\x1e", error("The protocol 'x' is not supported.")),
        ("{\"protocol\":\"json\"}\x1e", malformed()),
        ("{\"protocol\":\"json\",\"version\":1.0}\x1e", malformed()),
        ("[]\x1e", malformed()),
        ("\x1e", malformed()),
    ] {
        let mut test = TestSession::new();
        let reason = test.receive_end(input.as_bytes(), 0);
        assert_eq!(test.take_messages(), expected, "{input:?}");
        assert_eq!(reason.is_some(), expected.len() == 1, "{input:?}");
        assert_eq!(test.next_timeout().is_none(), reason.is_some(), "{input:?}");
    }
}

#[test]
fn handshake_without_separator_completes_at_end_of_message() {
    let whole = &JSON[..JSON.len() - 1];
    // In the middle of a message, the separator is required.
    let mut test = TestSession::new();
    assert_eq!(test.receive(whole, 0), None);
    assert_eq!(test.take_messages(), Vec::<String>::new());
    // At the end of a message it may be missing. One late separator is skipped.
    assert_eq!(test.receive_end(b"", 0), None);
    assert_eq!(test.take_messages(), ["opened json", "{}"]);
    assert_eq!(test.receive_end(&[b"\x1e", CALL].concat(), 1), None);
    assert_eq!(test.take_messages(), [failed("7", "Nope")]);
    assert!(matches!(test.receive_end(b"\x1e", 2), Some(CloseReason::Protocol(_))));

    let mut test = TestSession::new();
    assert_eq!(test.receive_end(whole, 0), None);
    assert_eq!(test.receive_end(CALL, 0), None);
    assert_eq!(test.take_messages(), ["opened json", "{}", &failed("7", "Nope")]);

    // An incomplete object stays incomplete.
    let mut test = TestSession::new();
    assert_eq!(test.receive_end(&whole[..10], 0), None);
    assert_eq!(test.receive_end(b"42", 0), None);
    assert_eq!(test.take_messages(), Vec::<String>::new());
}

#[test]
fn handshake_in_many_pieces_limits_parse_attempts() {
    let mut test = TestSession::new();
    for _ in 0..MAX_UNTERMINATED_ATTEMPTS {
        assert!(test.session.may_complete(&test.buffer, b"", &SESSION_CONFIG, true));
        assert_eq!(test.receive_end(&JSON[..1], 0), None);
        test.buffer.clear();
    }
    assert!(!test.session.may_complete(&test.buffer, b"", &SESSION_CONFIG, true));
    // The separator still completes it.
    for byte in JSON {
        assert_eq!(test.receive_end(&[*byte], 0), None);
    }
    assert_eq!(test.take_messages(), ["opened json", "{}"]);
}

#[test]
fn handshake_after_timeout_is_canceled() {
    let mut test = TestSession::new();
    assert_eq!(test.next_timeout(), Some(150));
    assert_eq!(test.advance_to(149), None);
    // Neither the beginning of a handshake nor answers to WebSocket pings delay the timeout.
    assert_eq!(test.receive(b"{", 140), None);
    test.session.sent(Tick(149));
    assert_eq!(test.next_timeout(), Some(150));
    let canceled = HandshakeError::Canceled(HandshakeAbort::Timeout);
    assert_eq!(test.advance_to(150), Some(CloseReason::Handshake(canceled)));
    assert_eq!(test.take_messages(), ["{\"error\":\"Handshake was canceled.\"}"]);
    assert_eq!((test.next_timeout(), test.advance_to(1000)), (None, None));
}

#[test]
fn session_idle_for_keep_alive_interval_is_pinged() {
    let mut test = TestSession::open(JSON);
    assert_eq!(test.next_timeout(), Some(150));
    assert_eq!(test.advance_to(149), None);
    test.session.sent(Tick(149));
    assert_eq!((test.next_timeout(), test.advance_to(150)), (Some(299), None));
    assert_eq!(test.take_messages(), Vec::<String>::new());
    assert_eq!(test.advance_to(299), None);
    assert_eq!(test.take_messages(), ["{\"type\":6}"]);
    assert_eq!((test.next_timeout(), test.advance_to(300)), (Some(449), None));
    assert_eq!(test.take_messages(), Vec::<String>::new());

    let mut test = TestSession::open(MESSAGEPACK);
    test.advance_to(150);
    assert_eq!(test.take_messages(), ["\\x02\\x91\\x06"]);
}

#[test]
fn client_timeout_applies_only_after_a_client_ping() {
    let mut test = TestSession::open(JSON);
    for now in (150..3000).step_by(150) {
        assert_eq!(test.advance_to(now), None, "a client that never pings stays");
    }
    assert_eq!(test.receive(CLIENT_PING, 3000), None);
    test.session.sent(Tick(3100));
    assert_eq!(test.next_timeout(), Some(3250));
    // Each byte counts as input, even of an incomplete message.
    assert_eq!(test.receive(&CALL[..1], 3200), None);
    assert_eq!(test.advance_to(3250), None);
    test.session.sent(Tick(3400));
    assert_eq!((test.next_timeout(), test.advance_to(3499)), (Some(3500), None));
    test.take_messages();
    assert_eq!(test.advance_to(3500), Some(CloseReason::Timeout));
    assert_eq!(test.take_messages(), [CLOSED]);
}

#[test]
fn message_size_limit_includes_framing() {
    let handshake = |size: usize| {
        let frame = "{\"protocol\":\"json\",\"version\":1,\"x\":\"\"}\x1e";
        frame.replace("\"\"", &format!("\"{}\"", "y".repeat(size - frame.len())))
    };
    let json = |size: usize| {
        let frame = "{\"type\":1,\"target\":\"T\",\"arguments\":[\"\"]}\x1e";
        frame.replace("\"\"", &format!("\"{}\"", "y".repeat(size - frame.len()))).into_bytes()
    };
    let messagepack = |size: usize| {
        let mut bytes = Vec::new();
        varint::write(size - 2, &mut bytes);
        bytes.extend_from_slice(b"\x91\x06");
        bytes.resize(size, 0);
        bytes
    };
    assert_eq!(TestSession::new().receive(handshake(256).as_bytes(), 0), None);
    let too_large = Some(CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::TooLarge)));
    assert_eq!(TestSession::new().receive(handshake(257).as_bytes(), 0), too_large);
    assert_eq!(TestSession::new().receive(&[b'{'; 256], 0), too_large, "the separator would exceed the limit");

    assert_eq!(TestSession::open(JSON).receive(&json(256), 0), None);
    assert!(matches!(TestSession::open(JSON).receive(&json(257), 0), Some(CloseReason::Protocol(_))));
    assert!(matches!(TestSession::open(JSON).receive(&json(257)[..256], 0), Some(CloseReason::Protocol(_))));
    // The limit applies to one message, not to the bytes of one call.
    assert_eq!(TestSession::open(JSON).receive(&json(200).repeat(3), 0), None);

    assert_eq!(TestSession::open(MESSAGEPACK).receive(&messagepack(256), 0), None);
    assert!(matches!(TestSession::open(MESSAGEPACK).receive(&messagepack(257), 0), Some(CloseReason::Protocol(_))));
    // The length alone exceeds the limit.
    let mut test = TestSession::open(MESSAGEPACK);
    assert!(matches!(test.receive(&messagepack(257)[..2], 0), Some(CloseReason::Protocol(_))));
    assert_eq!(test.take_messages().len(), 1);
}

#[test]
fn session_answers_invocations_and_ignores_other_messages() {
    let mut test = TestSession::open(JSON);
    for ignored in [
        "{\"type\":1,\"target\":\"Nope\",\"arguments\":[]}\x1e",
        "{\"type\":99}\x1e{\"type\":0}\x1e",
        "{\"type\":5,\"invocationId\":\"1\"}\x1e",
        "{\"type\":8,\"sequenceId\":1}\x1e",
        "{\"type\":6}\x1e",
    ] {
        assert_eq!(test.receive(ignored.as_bytes(), 0), None);
        assert_eq!(test.take_messages(), Vec::<String>::new(), "{ignored:?}");
    }
    assert_eq!(test.receive(CALL, 0), None);
    assert_eq!(test.take_messages(), [failed("7", "Nope")]);
}

#[test]
fn session_ending_determines_the_close_message() {
    let reconnect = r#"{"type":7,"allowReconnect":true}"#;
    for (reason, close) in [
        (CloseReason::Client, Some(r#"{"type":7}"#)),
        (CloseReason::ServerShutdown, Some(reconnect)),
        (CloseReason::Timeout, Some(CLOSED)),
        (CloseReason::Protocol(ProtocolError("any")), Some(CLOSED)),
        (CloseReason::SlowConsumer, None),
        (CloseReason::Reset, None),
    ] {
        let mut test = TestSession::open(JSON);
        assert_eq!(test.session.close(reason.clone(), &mut test.recorder), reason);
        assert_eq!(test.take_messages(), close.into_iter().collect::<Vec<_>>(), "{reason:?}");
        // Input after the end is ignored.
        assert_eq!((test.receive(CALL, 0), test.session.protocol(), test.next_timeout()), (None, None, None));
        assert_eq!(test.take_messages(), Vec::<String>::new());
        assert!(test.buffer.is_empty());
        // Without a handshake there is no protocol for a Close message.
        let mut test = TestSession::new();
        test.session.close(reason, &mut test.recorder);
        assert_eq!(test.take_messages(), Vec::<String>::new());
    }
}

#[test]
fn close_from_client_is_answered_and_ends_the_session() {
    let mut test = TestSession::open(JSON);
    assert_eq!(test.receive(&[CALL, b"{\"type\":7,\"error\":\"x\"}\x1e", CALL].concat(), 0), Some(CloseReason::Client));
    assert_eq!(test.take_messages(), [failed("7", "Nope").as_str(), r#"{"type":7}"#]);
    let mut test = TestSession::open(MESSAGEPACK);
    assert_eq!(test.receive(b"\x03\x92\x07\xc0", 0), Some(CloseReason::Client));
    assert_eq!(test.take_messages(), ["\\x04\\x93\\x07\\xc0\\xc2"]);
}

#[test]
fn session_output_is_independent_of_input_splits() {
    let messagepack_call: &[u8] = b"\x0c\x96\x01\x80\xa1\x37\xa4Nope\x90\x90";
    let unknown: &[u8] = b"\x02\x91\x63";
    for input in [
        [JSON, CALL, CLIENT_PING, CALL].concat(),
        [JSON, CALL, b"{\"type\":7}\x1e", CALL].concat(),
        [JSON, CALL, b"{}\x1e", CALL].concat(),
        [MESSAGEPACK, messagepack_call, unknown, messagepack_call].concat(),
        [MESSAGEPACK, messagepack_call, b"\x02\x91\x07", messagepack_call].concat(),
        [MESSAGEPACK, messagepack_call, b"\xff\xff\xff\xff\x0f"].concat(),
        [JSON, &[b' '; 300]].concat(),
        [b' '; 300].to_vec(),
        JSON[..JSON.len() - 1].to_vec(),
    ] {
        let mut whole = TestSession::new();
        let expected = (whole.receive_end(&input, 0), whole.take_messages());
        for first in 0..=input.len() {
            for second in [first, (first + input.len()) / 2, input.len()] {
                let mut test = TestSession::new();
                let mut reason = test.receive(&input[..first], 0);
                reason = reason.or(test.receive(&input[first..second], 0));
                reason = reason.or(test.receive_end(&input[second..], 0));
                assert_eq!(
                    (reason, test.take_messages()),
                    expected,
                    "split at {first} and {second}: {}",
                    shown(&input)
                );
            }
        }
        let mut test = TestSession::new();
        let last = input.len() - 1;
        let mut reasons = input[..last].iter().filter_map(|byte| test.receive(&[*byte], 0)).collect::<Vec<_>>();
        reasons.extend(test.receive_end(&input[last..], 0));
        assert_eq!((reasons.into_iter().next(), test.take_messages()), expected, "byte by byte: {}", shown(&input));
    }
}

#[test]
fn server_sent_events_rejects_messagepack_in_handshake() {
    let mut test = TestSession::with_transport(Transport::ServerSentEvents);
    let reason = test.receive(MESSAGEPACK, 0);
    assert!(matches!(reason, Some(CloseReason::Handshake(HandshakeError::Transport("messagepack")))), "{reason:?}");
    let error = "Cannot use the 'messagepack' protocol on the current transport. \
                 The transport does not support 'Binary' transfer format.";
    assert_eq!(test.take_messages(), [format!("{{\"error\":\"{error}\"}}")]);
    let mut test = TestSession::with_transport(Transport::ServerSentEvents);
    assert_eq!(test.receive(JSON, 0), None);
    assert_eq!(test.next_timeout(), Some(150), "they are pinged");
}

#[test]
fn long_polling_sends_no_pings_but_applies_client_timeout() {
    let mut test = TestSession::with_transport(Transport::LongPolling);
    assert_eq!(test.receive(MESSAGEPACK, 0), None);
    test.take_messages();
    assert_eq!((test.next_timeout(), test.advance_to(1000), test.take_messages()), (None, None, vec![]));
    assert_eq!(test.receive(&[2, 0x91, 6], 1000), None);
    assert_eq!(test.next_timeout(), Some(1300));
    assert_eq!(test.advance_to(1300), Some(CloseReason::Timeout));
}
