//! Tests of the codec, by sections of RFC 6455, and of a WebSocket with its session.

use super::*;
use crate::signalr::TimeoutAction;

const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 32 * 1024,
};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns a frame of a client, with its length in the shortest form.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let (header, used) = header(Opcode::Text, payload.len());
    let mut bytes = header[..used].to_vec();
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    client(0x81, payload.as_bytes())
}

/// Returns the events of a decoder for input in pieces. The data events of one message are joined.
fn events(pieces: &[&[u8]]) -> Vec<String> {
    let mut decoder = Decoder::default();
    let mut events: Vec<String> = Vec::new();
    let mut message = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = piece.as_mut_slice();
        while let Some(event) = decoder.next(&mut input) {
            match event {
                Event::Data { payload, ends } => {
                    message.extend_from_slice(payload);
                    if ends {
                        events.push(match std::mem::take(&mut message) {
                            long if long.len() > 64 => format!("{} bytes", long.len()),
                            short => format!("data {}", short.escape_ascii()),
                        });
                    }
                }
                Event::Ping(payload) => events.push(format!("ping {}", payload.escape_ascii())),
                Event::Pong => events.push("pong".to_owned()),
                Event::Close => {
                    events.push("close".to_owned());
                    return events;
                }
                Event::ProtocolError(code) => {
                    events.push(code.to_string());
                    return events;
                }
            }
        }
        assert!(input.is_empty(), "the input is used up");
    }
    if !message.is_empty() {
        events.push(format!("incomplete {}", message.escape_ascii()));
    }
    events
}

/// Returns the events of an input, and checks that they are the same for each split of it.
fn decoded(input: &[u8]) -> Vec<String> {
    let expected = events(&[input]);
    let short = input.len() < 300;
    for at in (0..=input.len()).filter(|at| short || *at < 20 || at + 20 > input.len()) {
        assert_eq!(events(&[&input[..at], &input[at..]]), expected, "split at {at}");
    }
    if short {
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(events(&bytes), expected, "byte by byte");
    }
    expected
}

#[test]
fn opening_handshake_1_3() {
    assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").as_ref(), Some(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for key in [
        "",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZ!==",
        "dGhlIHNhbXBsZSBub25jZSE=",
        "dGhlIHNhbXBsZSBub25jZQ=a",
    ] {
        assert_eq!(accept(key.as_bytes()), None, "{key}");
    }
}

#[test]
fn masking_5_1_and_5_3() {
    // The example of section 5.7.
    assert_eq!(decoded(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), ["data Hello"]);
    assert_eq!(decoded(b"\x81\x05Hello"), ["1002"], "a client has to mask");
    assert_eq!(decoded(b"\x81\x85\0\0\0\0Hello"), ["data Hello"], "with whatever key");
}

#[test]
fn reserved_bits_and_opcodes_5_2() {
    for first in [0xc1, 0xa1, 0x91, 0xf1] {
        assert_eq!(decoded(&client(first, b"x")), ["1002"], "{first:x}");
    }
    for opcode in [0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        assert_eq!(decoded(&client(0x80 | opcode, b"")), ["1002"], "{opcode:x}");
    }
    // An invalid header is rejected after its first two bytes.
    assert_eq!(events(&[b"\xc1\x80"]), ["1002"]);
}

#[test]
fn lengths_5_2() {
    for length in [0, 1, 63, 64] {
        let payload = "a".repeat(length);
        assert_eq!(decoded(&text(&payload)), [format!("data {payload}")]);
    }
    for length in [125, 126, 127, 0xffff, 0x1_0000] {
        assert_eq!(decoded(&client(0x82, &vec![7; length])), [format!("{length} bytes")]);
    }
    // A longer form than necessary is accepted.
    assert_eq!(decoded(b"\x81\xfe\0\x01\0\0\0\0x"), ["data x"]);
    assert_eq!(decoded(b"\x81\xff\0\0\0\0\0\0\0\x01\0\0\0\0x"), ["data x"]);
    assert_eq!(decoded(b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0"), ["1002"], "2^63");
    assert_eq!(decoded(b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x"), ["incomplete x"]);
}

#[test]
fn fragmentation_5_4() {
    let hello = [client(0x01, b"Hel"), client(0x00, b""), client(0x80, b"lo")].concat();
    assert_eq!(decoded(&[hello.clone(), text("!")].concat()), ["data Hello", "data !"]);
    assert_eq!(decoded(&[client(0x02, b"\xff"), client(0x80, b"\xfe")].concat()), ["data \\xff\\xfe"]);
    assert_eq!(decoded(&[client(0x01, b""), client(0x80, b"")].concat()), ["data "]);
    assert_eq!(decoded(&client(0x01, b"Hel")), ["incomplete Hel"]);
    for continuation in [0x00, 0x80] {
        assert_eq!(decoded(&client(continuation, b"x")), ["1002"], "of nothing");
        assert_eq!(decoded(&[hello.clone(), client(continuation, b"x")].concat()), ["data Hello", "1002"]);
    }
    for another in [0x01, 0x81, 0x82] {
        assert_eq!(decoded(&[client(0x01, b""), client(another, b"x")].concat()), ["1002"], "inside a message");
    }
}

#[test]
fn control_frames_5_5() {
    let between = [client(0x01, b"Hel"), client(0x89, b"?"), client(0x8a, b""), client(0x80, b"lo")].concat();
    assert_eq!(decoded(&between), ["ping ?", "pong", "data Hello"]);
    let longest = client(0x89, &[b'p'; 125]);
    assert_eq!(decoded(&longest), [format!("ping {}", "p".repeat(125))]);
    for opcode in [0x8, 0x9, 0xa] {
        assert_eq!(decoded(&client(0x80 | opcode, &[b'p'; 126])), ["1002"], "{opcode:x} too long");
        assert_eq!(decoded(&client(opcode, b"")), ["1002"], "{opcode:x} fragmented");
    }
}

#[test]
fn close_codes_5_5_1_and_7_4() {
    let close = |code: u16, reason: &[u8]| decoded(&client(0x88, &[&code.to_be_bytes(), reason].concat()));
    assert_eq!(decoded(&client(0x88, b"")), ["close"]);
    assert_eq!(decoded(&client(0x88, b"\x03")), ["1002"], "half a code");
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(close(code, b""), ["close"], "{code}");
        assert_eq!(close(code, "größer".as_bytes()), ["close"], "{code}");
        assert_eq!(close(code, b"\xff"), ["1007"], "{code} for a reason that is not UTF-8");
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 0xffff] {
        assert_eq!(close(code, b""), ["1002"], "{code}");
    }
    // A Close is valid between fragments, and later frames are ignored.
    assert_eq!(decoded(&[client(0x01, b"Hel"), client(0x88, b""), text("x")].concat()), ["close"]);
}

#[test]
fn utf8_8_1() {
    let letters = "aé☃😀".as_bytes();
    for at in 0..=letters.len() {
        let (first, second) = letters.split_at(at);
        let fragments = [client(0x01, first), client(0x89, b""), client(0x80, second)].concat();
        let whole = format!("data {}", letters.escape_ascii());
        assert_eq!(decoded(&fragments), ["ping ", &whole], "cut at {at}");
    }
    for broken in [&b"a\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x98"] {
        assert_eq!(decoded(&client(0x81, broken)), ["1007"], "{broken:x?}");
        assert_eq!(decoded(&client(0x82, broken)), [format!("data {}", broken.escape_ascii())], "bytes may be any");
    }
    // An incomplete character is an error, and a new message starts with a new validator.
    assert_eq!(decoded(&[client(0x01, b"\xe2\x98"), client(0x80, b"")].concat()), ["1007"]);
    assert_eq!(decoded(&[client(0x01, b"\xe2\x98"), client(0x80, b"a")].concat()), ["1007"]);
    assert_eq!(decoded(&[text("é"), text("é")].concat()), ["data \\xc3\\xa9", "data \\xc3\\xa9"]);
}

#[test]
fn written_frames_have_the_shortest_header() {
    for (length, expected) in [
        (0, &[0x82, 0][..]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (0xffff, &[0x82, 126, 0xff, 0xff]),
        (0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let body = vec![7; length];
        let frame = Frame::new(Protocol::MessagePack, &body);
        let mut bytes = Vec::new();
        write(Opcode::Binary, &body, &mut bytes);
        assert_eq!(frame.bytes(), [expected, &body].concat(), "{length}");
        assert_eq!((frame.bytes(), frame.body()), (bytes.as_slice(), body.as_slice()));
    }
    assert_eq!(Frame::new(Protocol::Json, b"{}").bytes(), b"\x81\x02{}");
}

/// Returns the output and the close reason for an input, and checks that they are the same for each split of it.
fn answered(input: &[u8]) -> (String, Option<CloseReason>) {
    let answer = |pieces: &[&[u8]]| {
        let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
        let mut outgoing = Outgoing::default();
        let mut ending = None;
        for piece in pieces {
            ending = ending.or_else(|| websocket.receive(&mut piece.to_vec(), Tick(0), &SESSION_CONFIG, &mut outgoing));
        }
        (outgoing.bytes.escape_ascii().to_string(), ending)
    };
    let expected = answer(&[input]);
    for at in 0..=input.len() {
        assert_eq!(answer(&[&input[..at], &input[at..]]), expected, "split at {at}");
    }
    expected
}

const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";

#[test]
fn session_handshake_in_any_framing_is_answered_in_frames() {
    let handshake = text(HANDSHAKE);
    let response = "\\x81\\x03{}\\x1e";
    assert_eq!(answered(&handshake), (response.to_owned(), None));
    // The framing of WebSocket messages does not matter for SignalR messages.
    let (first, second) = HANDSHAKE.as_bytes().split_at(10);
    let fragments = [client(0x02, first), client(0x89, b"?"), client(0x80, second)].concat();
    assert_eq!(answered(&fragments), (format!("\\x8a\\x01?{response}"), None));
    let messages = [client(0x82, first), client(0x81, second)].concat();
    assert_eq!(answered(&messages), (response.to_owned(), None));
    // The end of a message completes a handshake without its separator.
    assert_eq!(answered(&text(HANDSHAKE.trim_end_matches('\u{1e}'))), (response.to_owned(), None));
    assert_eq!(answered(&client(0x01, HANDSHAKE.trim_end_matches('\u{1e}').as_bytes())), (String::new(), None));
    let late = [client(0x01, HANDSHAKE.trim_end_matches('\u{1e}').as_bytes()), client(0x80, b"")].concat();
    assert_eq!(answered(&late), (response.to_owned(), None), "also where its last frame is empty");
}

#[test]
fn is_single_frame_matches_only_a_single_complete_ping_frame() {
    let ping = b"\x02\x91\x06";
    let masked = |mask: [u8; 4], payload: &[u8]| {
        let hidden: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        [&[0x82, 0x80 | payload.len() as u8], mask.as_slice(), &hidden].concat()
    };
    for mask in [[0; 4], [1, 2, 3, 4], [0xff; 4]] {
        let frame = masked(mask, ping);
        assert!(is_single_frame(ping, &frame));
        // The fourth byte of the mask, at index 5, does not matter for three bytes.
        for at in (0..frame.len()).filter(|at| *at != 5) {
            assert!(!is_single_frame(ping, &frame[..at]));
            let mut other = frame.clone();
            other[at] ^= 0x40;
            assert!(!is_single_frame(ping, &other), "{at}");
        }
        assert!(!is_single_frame(ping, &[frame.as_slice(), &frame].concat()));
    }
    assert!(is_single_frame(ping, &[b"\x81", &masked([9; 4], ping)[1..]].concat()), "the opcode does not matter");
}

#[test]
fn session_end_for_any_reason_sends_a_close_frame() {
    let handshake = text(HANDSHAKE);
    let response = "\\x81\\x03{}\\x1e";
    let after = |frame: Vec<u8>| answered(&[handshake.clone(), frame].concat());
    assert_eq!(
        after(client(0x88, b"\x03\xe8bye")),
        (format!("{response}\\x88\\x02\\x03\\xe8"), Some(CloseReason::Client))
    );
    let output = format!("{response}\\x81\\x0b{{\\\"type\\\":7}}\\x1e\\x88\\x02\\x03\\xe8");
    assert_eq!(after(text("{\"type\":7}\u{1e}")), (output, Some(CloseReason::Client)));
    let (output, reason) = after(client(0x83, b""));
    assert_eq!(output, format!("{response}\\x88\\x02\\x03\\xea"));
    assert!(matches!(reason, Some(CloseReason::Protocol(_))));
    let (output, _) = after(client(0x81, b"\xff"));
    assert_eq!(output, format!("{response}\\x88\\x02\\x03\\xef"));
    let (output, reason) = answered(&text("[]\u{1e}"));
    assert!(output.ends_with("during connection handshake.\\\"}\\x1e\\x88\\x02\\x03\\xe8"), "{output}");
    assert!(matches!(reason, Some(CloseReason::Handshake(_))));
}

#[test]
fn handshake_timeout_and_drain_send_a_close_frame() {
    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut outgoing = Outgoing::default();
    let Some(TimeoutAction::Close(ending)) = websocket.session.on_timeout(Tick(150), &SESSION_CONFIG) else {
        panic!("no end")
    };
    assert!(matches!(websocket.close(ending, &mut outgoing), CloseReason::Handshake(_)));
    assert!(outgoing.bytes.ends_with(b"was canceled.\"}\x1e\x88\x02\x03\xe8"));

    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut outgoing = Outgoing::default();
    assert_eq!(websocket.receive(&mut text(HANDSHAKE), Tick(0), &SESSION_CONFIG, &mut outgoing), None);
    assert_eq!(outgoing.accepted_protocol, Some(Protocol::Json));
    let mut outgoing = Outgoing::default();
    assert_eq!(websocket.close(CloseReason::ServerShutdown, &mut outgoing), CloseReason::ServerShutdown);
    assert_eq!(outgoing.bytes, b"\x81\x21{\"type\":7,\"allowReconnect\":true}\x1e\x88\x02\x03\xe8");
}

#[test]
fn websocket_keeps_no_partial_state_between_messages() {
    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut receive = |bytes: &[u8]| {
        let mut outgoing = Outgoing::default();
        assert_eq!(websocket.receive(&mut bytes.to_vec(), Tick(0), &SESSION_CONFIG, &mut outgoing), None);
        websocket.partial.is_some()
    };
    let handshake = text(HANDSHAKE);
    assert!(receive(&handshake[..1]));
    assert!(receive(&handshake[1..20]));
    assert!(!receive(&handshake[20..]));
    assert!(!receive(&client(0x89, b"?")));
    assert!(receive(&client(0x01, b"{\"type\":6}\x1e")), "the message is incomplete");
    assert!(!receive(&client(0x80, b"")));
    assert!(receive(&text("{\"type\"")), "an incomplete SignalR message in a complete WebSocket message");
    assert!(!receive(&text(":6}\u{1e}")));
}
