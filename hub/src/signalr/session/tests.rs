//! A session as scripted bytes and clock.

use super::*;
use crate::signalr::protocol::{encode, varint};

const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive: 150,
    client_timeout: 300,
    message_timeout: 300,
    max_message: 256,
};

const JSON: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
const MESSAGEPACK: &[u8] = b"{\"protocol\":\"messagepack\",\"version\":1}\x1e";
const CALL: &[u8] = b"{\"type\":1,\"invocationId\":\"7\",\"target\":\"Nope\",\"arguments\":[]}\x1e";
const CLIENT_PING: &[u8] = b"{\"type\":6}\x1e";
const CLOSED: &str = r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

/// A session with all that it has said, as text without the 0x1e behind it.
struct Talk {
    session: Session,
    held: Vec<u8>,
    heard: Heard,
}

#[derive(Default)]
struct Heard(Vec<String>);

impl SessionSink for Heard {
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

impl Talk {
    fn new() -> Talk {
        Talk::with_transport(Transport::WebSockets)
    }

    fn with_transport(transport: Transport) -> Talk {
        Talk { session: Session::new(transport, Tick(0)), held: Vec::new(), heard: Heard::default() }
    }

    /// Behind a good handshake, whose answer went out at once.
    fn open(hello: &[u8]) -> Talk {
        let mut talk = Talk::new();
        assert_eq!(talk.say(hello, 0), None);
        talk.session.sent(Tick(0));
        talk.heard.0.clear();
        talk
    }

    /// The client says a part of a message of its transport.
    fn say(&mut self, bytes: &[u8], now: u32) -> Option<CloseReason> {
        self.session.receive(&mut self.held, bytes, false, Tick(now), &SESSION_CONFIG, &mut self.heard)
    }

    /// The client says a whole message, or the end of one.
    fn finish(&mut self, bytes: &[u8], now: u32) -> Option<CloseReason> {
        self.session.receive(&mut self.held, bytes, true, Tick(now), &SESSION_CONFIG, &mut self.heard)
    }

    fn tick(&mut self, now: u32) -> Option<CloseReason> {
        match self.session.on_timeout(Tick(now), &SESSION_CONFIG)? {
            TimeoutAction::SendPing(protocol) => {
                self.heard.write_message(protocol, ping(protocol));
                self.session.sent(Tick(now));
                None
            }
            TimeoutAction::Close(ending) => Some(self.session.close(ending, &mut self.heard)),
        }
    }

    fn due(&self) -> Option<u32> {
        self.session.next_timeout(&SESSION_CONFIG).map(|tick| tick.0)
    }

    /// What was said since the last time.
    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.heard.0)
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
    for (said, heard) in [
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
        let mut talk = Talk::new();
        let ending = talk.finish(said.as_bytes(), 0);
        assert_eq!(talk.heard(), heard, "{said:?}");
        assert_eq!(ending.is_some(), heard.len() == 1, "{said:?}");
        assert_eq!(talk.due().is_none(), ending.is_some(), "{said:?}");
    }
}

#[test]
fn handshake_without_separator_completes_at_end_of_message() {
    let whole = &JSON[..JSON.len() - 1];
    // In the middle of a message it is awaited.
    let mut talk = Talk::new();
    assert_eq!(talk.say(whole, 0), None);
    assert_eq!(talk.heard(), Vec::<String>::new());
    // At the end of one it is taken for granted, and forgiven if it comes after all, once.
    assert_eq!(talk.finish(b"", 0), None);
    assert_eq!(talk.heard(), ["opened json", "{}"]);
    assert_eq!(talk.finish(&[b"\x1e", CALL].concat(), 1), None);
    assert_eq!(talk.heard(), [failed("7", "Nope")]);
    assert!(matches!(talk.finish(b"\x1e", 2), Some(CloseReason::Protocol(_))));

    let mut talk = Talk::new();
    assert_eq!(talk.finish(whole, 0), None);
    assert_eq!(talk.finish(CALL, 0), None);
    assert_eq!(talk.heard(), ["opened json", "{}", &failed("7", "Nope")]);

    // What is no whole object waits on.
    let mut talk = Talk::new();
    assert_eq!(talk.finish(&whole[..10], 0), None);
    assert_eq!(talk.finish(b"42", 0), None);
    assert_eq!(talk.heard(), Vec::<String>::new());
}

#[test]
fn handshake_in_many_pieces_limits_parse_attempts() {
    let mut talk = Talk::new();
    for _ in 0..MAX_UNTERMINATED_ATTEMPTS {
        assert!(talk.session.may_complete(&talk.held, b"", &SESSION_CONFIG, true));
        assert_eq!(talk.finish(&JSON[..1], 0), None);
        talk.held.clear();
    }
    assert!(!talk.session.may_complete(&talk.held, b"", &SESSION_CONFIG, true));
    // Its separator still ends it.
    for byte in JSON {
        assert_eq!(talk.finish(&[*byte], 0), None);
    }
    assert_eq!(talk.heard(), ["opened json", "{}"]);
}

#[test]
fn handshake_after_timeout_is_canceled() {
    let mut talk = Talk::new();
    assert_eq!(talk.due(), Some(150));
    assert_eq!(talk.tick(149), None);
    // Neither the beginning of one nor the answers to WebSocket pings put that off.
    assert_eq!(talk.say(b"{", 140), None);
    talk.session.sent(Tick(149));
    assert_eq!(talk.due(), Some(150));
    let canceled = HandshakeError::Canceled(HandshakeAbort::Timeout);
    assert_eq!(talk.tick(150), Some(CloseReason::Handshake(canceled)));
    assert_eq!(talk.heard(), ["{\"error\":\"Handshake was canceled.\"}"]);
    assert_eq!((talk.due(), talk.tick(1000)), (None, None));
}

#[test]
fn session_idle_for_keep_alive_interval_is_pinged() {
    let mut talk = Talk::open(JSON);
    assert_eq!(talk.due(), Some(150));
    assert_eq!(talk.tick(149), None);
    talk.session.sent(Tick(149));
    assert_eq!((talk.due(), talk.tick(150)), (Some(299), None));
    assert_eq!(talk.heard(), Vec::<String>::new());
    assert_eq!(talk.tick(299), None);
    assert_eq!(talk.heard(), ["{\"type\":6}"]);
    assert_eq!((talk.due(), talk.tick(300)), (Some(449), None));
    assert_eq!(talk.heard(), Vec::<String>::new());

    let mut talk = Talk::open(MESSAGEPACK);
    talk.tick(150);
    assert_eq!(talk.heard(), ["\\x02\\x91\\x06"]);
}

#[test]
fn client_timeout_applies_only_after_a_client_ping() {
    let mut talk = Talk::open(JSON);
    for now in (150..3000).step_by(150) {
        assert_eq!(talk.tick(now), None, "a client that never pings stays");
    }
    assert_eq!(talk.say(CLIENT_PING, 3000), None);
    talk.session.sent(Tick(3100));
    assert_eq!(talk.due(), Some(3250));
    // Every byte is a sign of life, also one of half a message.
    assert_eq!(talk.say(&CALL[..1], 3200), None);
    assert_eq!(talk.tick(3250), None);
    talk.session.sent(Tick(3400));
    assert_eq!((talk.due(), talk.tick(3499)), (Some(3500), None));
    talk.heard();
    assert_eq!(talk.tick(3500), Some(CloseReason::Timeout));
    assert_eq!(talk.heard(), [CLOSED]);
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
    assert_eq!(Talk::new().say(handshake(256).as_bytes(), 0), None);
    let too_large = Some(CloseReason::Handshake(HandshakeError::Canceled(HandshakeAbort::TooLarge)));
    assert_eq!(Talk::new().say(handshake(257).as_bytes(), 0), too_large);
    assert_eq!(Talk::new().say(&[b'{'; 256], 0), too_large, "it can't end in time any more");

    assert_eq!(Talk::open(JSON).say(&json(256), 0), None);
    assert!(matches!(Talk::open(JSON).say(&json(257), 0), Some(CloseReason::Protocol(_))));
    assert!(matches!(Talk::open(JSON).say(&json(257)[..256], 0), Some(CloseReason::Protocol(_))));
    // The limit is one message's, not that of what comes at once.
    assert_eq!(Talk::open(JSON).say(&json(200).repeat(3), 0), None);

    assert_eq!(Talk::open(MESSAGEPACK).say(&messagepack(256), 0), None);
    assert!(matches!(Talk::open(MESSAGEPACK).say(&messagepack(257), 0), Some(CloseReason::Protocol(_))));
    // The announcement is enough.
    let mut talk = Talk::open(MESSAGEPACK);
    assert!(matches!(talk.say(&messagepack(257)[..2], 0), Some(CloseReason::Protocol(_))));
    assert_eq!(talk.heard().len(), 1);
}

#[test]
fn session_answers_invocations_and_ignores_other_messages() {
    let mut talk = Talk::open(JSON);
    for quiet in [
        "{\"type\":1,\"target\":\"Nope\",\"arguments\":[]}\x1e",
        "{\"type\":99}\x1e{\"type\":0}\x1e",
        "{\"type\":5,\"invocationId\":\"1\"}\x1e",
        "{\"type\":8,\"sequenceId\":1}\x1e",
        "{\"type\":6}\x1e",
    ] {
        assert_eq!(talk.say(quiet.as_bytes(), 0), None);
        assert_eq!(talk.heard(), Vec::<String>::new(), "{quiet:?}");
    }
    assert_eq!(talk.say(CALL, 0), None);
    assert_eq!(talk.heard(), [failed("7", "Nope")]);
}

#[test]
fn session_ending_determines_the_close_message() {
    let reconnect = r#"{"type":7,"allowReconnect":true}"#;
    for (ending, close) in [
        (CloseReason::Client, Some(r#"{"type":7}"#)),
        (CloseReason::ServerShutdown, Some(reconnect)),
        (CloseReason::Timeout, Some(CLOSED)),
        (CloseReason::Protocol(ProtocolError("any")), Some(CLOSED)),
        (CloseReason::SlowConsumer, None),
        (CloseReason::Reset, None),
    ] {
        let mut talk = Talk::open(JSON);
        assert_eq!(talk.session.close(ending.clone(), &mut talk.heard), ending);
        assert_eq!(talk.heard(), close.into_iter().collect::<Vec<_>>(), "{ending:?}");
        // Nothing is heard after the end.
        assert_eq!((talk.say(CALL, 0), talk.session.protocol(), talk.due()), (None, None, None));
        assert_eq!(talk.heard(), Vec::<String>::new());
        assert!(talk.held.is_empty());
        // A client that has not shaken hands knows no protocol in which to be told.
        let mut talk = Talk::new();
        talk.session.close(ending, &mut talk.heard);
        assert_eq!(talk.heard(), Vec::<String>::new());
    }
}

#[test]
fn close_from_client_is_answered_and_ends_the_session() {
    let mut talk = Talk::open(JSON);
    assert_eq!(talk.say(&[CALL, b"{\"type\":7,\"error\":\"x\"}\x1e", CALL].concat(), 0), Some(CloseReason::Client));
    assert_eq!(talk.heard(), [failed("7", "Nope").as_str(), r#"{"type":7}"#]);
    let mut talk = Talk::open(MESSAGEPACK);
    assert_eq!(talk.say(b"\x03\x92\x07\xc0", 0), Some(CloseReason::Client));
    assert_eq!(talk.heard(), ["\\x04\\x93\\x07\\xc0\\xc2"]);
}

#[test]
fn session_output_is_independent_of_input_splits() {
    let messagepack_call: &[u8] = b"\x0c\x96\x01\x80\xa1\x37\xa4Nope\x90\x90";
    let unknown: &[u8] = b"\x02\x91\x63";
    for said in [
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
        let mut whole = Talk::new();
        let expected = (whole.finish(&said, 0), whole.heard());
        for first in 0..=said.len() {
            for second in [first, (first + said.len()) / 2, said.len()] {
                let mut talk = Talk::new();
                let mut ending = talk.say(&said[..first], 0);
                ending = ending.or(talk.say(&said[first..second], 0));
                ending = ending.or(talk.finish(&said[second..], 0));
                assert_eq!((ending, talk.heard()), expected, "split at {first} and {second}: {}", shown(&said));
            }
        }
        let mut talk = Talk::new();
        let last = said.len() - 1;
        let mut endings = said[..last].iter().filter_map(|byte| talk.say(&[*byte], 0)).collect::<Vec<_>>();
        endings.extend(talk.finish(&said[last..], 0));
        assert_eq!((endings.into_iter().next(), talk.heard()), expected, "byte by byte: {}", shown(&said));
    }
}

#[test]
fn server_sent_events_rejects_messagepack_in_handshake() {
    let mut talk = Talk::with_transport(Transport::ServerSentEvents);
    let ending = talk.say(MESSAGEPACK, 0);
    assert!(matches!(ending, Some(CloseReason::Handshake(HandshakeError::Transport("messagepack")))), "{ending:?}");
    let error = "Cannot use the 'messagepack' protocol on the current transport. \
                 The transport does not support 'Binary' transfer format.";
    assert_eq!(talk.heard(), [format!("{{\"error\":\"{error}\"}}")]);
    let mut talk = Talk::with_transport(Transport::ServerSentEvents);
    assert_eq!(talk.say(JSON, 0), None);
    assert_eq!(talk.due(), Some(150), "they are pinged");
}

#[test]
fn long_polling_sends_no_pings_but_applies_client_timeout() {
    let mut talk = Talk::with_transport(Transport::LongPolling);
    assert_eq!(talk.say(MESSAGEPACK, 0), None);
    talk.heard();
    assert_eq!((talk.due(), talk.tick(1000), talk.heard()), (None, None, vec![]));
    assert_eq!(talk.say(&[2, 0x91, 6], 1000), None);
    assert_eq!(talk.due(), Some(1300));
    assert_eq!(talk.tick(1300), Some(CloseReason::Timeout));
}
