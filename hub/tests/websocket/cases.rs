//! Valid and invalid bytes of a client after its handshake, in the order of the sections of the Autobahn test suite. `Nope` is a
//! method that no hub has. The hub answers its invocation with an error.

use crate::recorded::socket::frame;

/// The bytes that the client sends, and the expected answers in words. `answer NAME` is the answer to an invocation.
/// `SignalR Close` and `SignalR Close with error` are messages of SignalR. `close CODE` is a WebSocket Close frame.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sent: Vec<u8>,
    pub(crate) expected: String,
}

fn case(section: &str, what: &str, sent: impl AsRef<[u8]>, expected: impl Into<String>) -> Case {
    Case { name: format!("{section} {what}"), sent: sent.as_ref().to_vec(), expected: expected.into() }
}

const ANSWER: &str = "answer Nope";
const PROTOCOL_ERROR: &str = "close 1002";
const INVALID_UTF8: &str = "close 1007";
const CLOSED: &str = "close 1000";
const MESSAGE_ERROR: &str = "SignalR Close with error, close 1000";
const NOTHING: &str = "";

/// Returns an invocation whose target is these bytes.
fn call_of(target: &[u8]) -> Vec<u8> {
    [b"{\"type\":1,\"invocationId\":\"7\",\"target\":\"", target, b"\",\"arguments\":[]}\x1e"].concat()
}

fn call() -> Vec<u8> {
    call_of(b"Nope")
}

/// Returns an invocation with leading spaces, of this size in bytes.
fn call_sized(size: usize) -> Vec<u8> {
    let call = call();
    [" ".repeat(size - call.len()).as_bytes(), &call].concat()
}

/// Returns pings of SignalR and an invocation, together of this size in bytes.
fn pings_and_call(size: usize) -> Vec<u8> {
    const PING: &[u8] = b"{\"type\":6}\x1e";
    let pings = (size - 100) / PING.len();
    [PING.repeat(pings), call_sized(size - pings * PING.len())].concat()
}

fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x81, payload.as_ref())
}

fn binary(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x82, payload.as_ref())
}

fn ping(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x89, payload.as_ref())
}

fn pong(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x8a, payload.as_ref())
}

fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason.as_ref()].concat())
}

/// Returns the first fragment of a text message.
fn begin(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x01, payload.as_ref())
}

/// Returns a fragment in the middle of a message.
fn more(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x00, payload.as_ref())
}

/// Returns the last fragment of a message.
fn last(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x80, payload.as_ref())
}

/// Returns a message in fragments of this size, with `between` after each but the last.
fn fragments_with(opcode: u8, payload: &[u8], size: usize, between: &[u8]) -> Vec<u8> {
    let count = payload.chunks(size).count();
    let mut bytes = Vec::new();
    for (place, fragment) in payload.chunks(size).enumerate() {
        let last = if place + 1 == count { 0x80 } else { 0 };
        bytes.extend(frame(last | if place == 0 { opcode } else { 0 }, fragment));
        if last == 0 {
            bytes.extend_from_slice(between);
        }
    }
    bytes
}

fn fragments(opcode: u8, payload: &[u8], size: usize) -> Vec<u8> {
    fragments_with(opcode, payload, size, b"")
}

fn all_of(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// Returns all cases.
pub(crate) fn all() -> Vec<Case> {
    [framing(), pings(), reserved_bits(), opcodes(), fragmentation(), utf8(), closing(), sizes(), others()]
        .into_iter()
        .flatten()
        .collect()
}

fn framing() -> Vec<Case> {
    let mut cases = vec![
        case("1.1.1", "an empty text, then a call", all_of(&[text(b""), text(call())]), ANSWER),
        case("1.2.1", "an empty binary message, then a call", all_of(&[binary(b""), binary(call())]), ANSWER),
        case("1.3.1", "a text with a length of 16 bits where 7 are enough", [b"\x81\xfe\0\x0b\0\0\0\0{\"type\":6}\x1e".as_slice(), &text(call())].concat(), ANSWER),
        case("1.3.2", "a text with a length of 64 bits where 7 are enough", [b"\x81\xff\0\0\0\0\0\0\0\x0b\0\0\0\0".as_slice(), b"{\"type\":6}\x1e", &text(call())].concat(), ANSWER),
        case("1.3.3", "a length of 2^63", b"\x81\xff\x80\0\0\0\0\0\0\0\0\0\0\0", PROTOCOL_ERROR),
        case("1.3.4", "a mask of zeros", [b"\x89\x82\0\0\0\0".as_slice(), b"hi"].concat(), "pong hi"),
        case("1.3.5", "an unmasked text", b"\x81\x02hi", PROTOCOL_ERROR),
        case("1.3.6", "an unmasked ping after a call", [&text(call())[..], b"\x89\x00"].concat(), "answer Nope, close 1002"),
    ];
    for (place, size) in [125, 126, 127, 128].into_iter().enumerate() {
        cases.push(case(&format!("1.1.{}", place + 2), &format!("a text of {size} bytes"), text(call_sized(size)), ANSWER));
        cases.push(case(&format!("1.2.{}", place + 2), &format!("{size} bytes"), binary(call_sized(size)), ANSWER));
    }
    for (place, size) in [65_535, 65_536].into_iter().enumerate() {
        cases.push(case(&format!("1.1.{}", place + 6), &format!("a text of {size} bytes"), text(pings_and_call(size)), ANSWER));
        cases.push(case(&format!("1.2.{}", place + 6), &format!("{size} bytes"), binary(pings_and_call(size)), ANSWER));
    }
    cases
}

fn pings() -> Vec<Case> {
    let longest = [b'p'; 125];
    let ten: Vec<String> = (0..10).map(|number| format!("pong {number}")).collect();
    let ten_pings: Vec<u8> = (0..10).flat_map(|number| ping(number.to_string())).collect();
    vec![
        case("2.1", "an empty ping", ping(b""), "pong "),
        case("2.2", "a ping with a payload", ping(b"Hello"), "pong Hello"),
        case("2.3", "a ping with bytes that are no text", ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), "pong \\x00\\xff\\xfe\\xfd\\xfc\\xfb\\x00\\xff"),
        case("2.4", "a ping of 125 bytes", ping(longest), format!("pong {}", "p".repeat(125))),
        case("2.5", "a ping of 126 bytes", ping([b'p'; 126]), PROTOCOL_ERROR),
        case("2.6", "a ping with a length of 16 bits", b"\x89\xfe\0\x01\0\0\0\0x", PROTOCOL_ERROR),
        case("2.7", "an unsolicited empty pong", pong(b""), NOTHING),
        case("2.8", "an unsolicited pong with a payload, then a call", all_of(&[pong(b"what?"), text(call())]), ANSWER),
        case("2.9", "an unsolicited pong, then a ping", all_of(&[pong(b"what?"), ping(b"ping")]), "pong ping"),
        case("2.10", "ten pings", ten_pings, ten.join(", ")),
        case("2.12", "a pong of 126 bytes", pong([b'p'; 126]), PROTOCOL_ERROR),
    ]
}

fn reserved_bits() -> Vec<Case> {
    vec![
        case("3.1", "the third bit", frame(0x91, &call()), PROTOCOL_ERROR),
        case("3.2", "the second bit after a call", all_of(&[text(call()), frame(0xa1, &call())]), "answer Nope, close 1002"),
        case("3.3", "the second and the third, then a ping", all_of(&[text(call()), frame(0xb1, &call()), ping(b"")]), "answer Nope, close 1002"),
        case("3.4", "the first bit, which is for permessage-deflate", frame(0xc1, &call()), PROTOCOL_ERROR),
        case("3.5", "the first and the third of a binary message", frame(0xd2, &call()), PROTOCOL_ERROR),
        case("3.6", "the first and the second of a ping", frame(0xe9, b"hi"), PROTOCOL_ERROR),
        case("3.7", "all three of a Close", frame(0xf8, b""), PROTOCOL_ERROR),
        case("3.8", "the first bit of a continuation", all_of(&[begin(b"{"), frame(0xc0, b"}")]), PROTOCOL_ERROR),
    ]
}

fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (group, numbers) in [("4.1", 0x3..=0x7), ("4.2", 0xb..=0xf)] {
        for (place, opcode) in numbers.enumerate() {
            let name = |what: &str| format!("opcode {opcode:x} {what}");
            let section = format!("{group}.{}", place + 1);
            cases.push(case(&section, &name("without a payload"), frame(0x80 | opcode, b""), PROTOCOL_ERROR));
            cases.push(case(&section, &name("with a call"), frame(0x80 | opcode, &call()), PROTOCOL_ERROR));
            let sequence = all_of(&[text(call()), frame(0x80 | opcode, b"x"), ping(b"")]);
            cases.push(case(&section, &name("between a call and a ping"), sequence, "answer Nope, close 1002"));
        }
    }
    cases
}

fn fragmentation() -> Vec<Case> {
    let call = call();
    let (first, second) = call.split_at(20);
    let answered_then_closed = "answer Nope, close 1002";
    vec![
        case("5.1", "a ping in two fragments", all_of(&[frame(0x09, b"a"), last(b"b")]), PROTOCOL_ERROR),
        case("5.2", "a pong in two fragments", all_of(&[frame(0x0a, b"a"), last(b"b")]), PROTOCOL_ERROR),
        case("5.3", "a call in two fragments", all_of(&[begin(first), last(second)]), ANSWER),
        case("5.4", "a call in two fragments of a binary message", all_of(&[frame(0x02, first), last(second)]), ANSWER),
        case("5.5", "a call in fragments of a byte", fragments(1, &call, 1), ANSWER),
        case("5.6", "with a ping between", all_of(&[begin(first), ping(b"?"), last(second)]), "pong ?, answer Nope"),
        case("5.7", "with a pong between", all_of(&[begin(first), pong(b"!"), last(second)]), ANSWER),
        case("5.8", "with two pings between", all_of(&[begin(first), ping(b"a"), ping(b"b"), last(second)]), "pong a, pong b, answer Nope"),
        case("5.9", "a last fragment without a first", last(&call), PROTOCOL_ERROR),
        case("5.10", "a last fragment without a first, then a call", all_of(&[last(b""), text(&call)]), PROTOCOL_ERROR),
        case("5.11", "a last fragment without a first after a call", all_of(&[text(&call), last(&call)]), answered_then_closed),
        case("5.12", "a middle fragment without a first", more(&call), PROTOCOL_ERROR),
        case("5.13", "a middle fragment without a first, then a call", all_of(&[more(b""), text(&call)]), PROTOCOL_ERROR),
        case("5.14", "a middle fragment without a first after a call", all_of(&[text(&call), more(&call)]), answered_then_closed),
        case("5.15", "two last fragments", all_of(&[begin(first), last(second), last(&call)]), answered_then_closed),
        case("5.16", "a middle fragment after the last", all_of(&[begin(first), last(second), more(&call)]), answered_then_closed),
        case("5.17", "a middle fragment without a first, then a call in fragments", all_of(&[more(b"x"), begin(first), last(second)]), PROTOCOL_ERROR),
        case("5.18", "a text begins inside a text", all_of(&[begin(first), begin(second)]), PROTOCOL_ERROR),
        case("5.19", "fragments with pings between", fragments_with(1, &call, 15, &ping(b"?")), "pong ?, pong ?, pong ?, pong ?, answer Nope"),
        case("5.20", "a whole text inside a text", all_of(&[begin(first), text(second)]), PROTOCOL_ERROR),
        case("5.21", "a whole binary message inside a text", all_of(&[begin(first), binary(second)]), PROTOCOL_ERROR),
        case("5.22", "empty fragments around a call", all_of(&[begin(b""), more(b""), more(&call), last(b"")]), ANSWER),
        case("5.23", "calls in a message without an end are answered", all_of(&[begin(&call), more(&call)]), "answer Nope, answer Nope"),
        case("5.24", "a Close inside a text", all_of(&[begin(first), close(1000, b"")]), CLOSED),
        case("5.25", "a call in two texts", all_of(&[text(first), text(second)]), ANSWER),
        case("5.26", "a call in a text and a binary message", all_of(&[text(first), binary(second)]), ANSWER),
    ]
}

/// Valid characters, by section.
const CHARACTERS: [(&str, &str, &str); 27] = [
    ("6.2.1", "characters of all lengths", "Hello-µ@ßöäüàá-UTF-8!!"),
    ("6.5.1", "Greek", "κόσμε"),
    ("6.7.2", "the first of two bytes", "\u{80}"),
    ("6.7.3", "the first of three bytes", "\u{800}"),
    ("6.7.4", "the first of four bytes", "\u{10000}"),
    ("6.9.1", "the last of one byte", "\u{7f}"),
    ("6.9.2", "the last of two bytes", "\u{7ff}"),
    ("6.9.3", "the last of three bytes", "\u{ffff}"),
    ("6.9.4", "the last of four bytes", "\u{10ffff}"),
    ("6.11.1", "the last before the surrogates", "\u{d7ff}"),
    ("6.11.2", "the first after the surrogates", "\u{e000}"),
    ("6.11.3", "the replacement character", "\u{fffd}"),
    ("6.11.4", "the last character", "\u{10ffff}"),
    ("6.22.1", "no character FFFE", "\u{fffe}"),
    ("6.22.2", "no character FFFF", "\u{ffff}"),
    ("6.22.3", "no character 1FFFE", "\u{1fffe}"),
    ("6.22.4", "no character 1FFFF", "\u{1ffff}"),
    ("6.22.5", "no character 2FFFE", "\u{2fffe}"),
    ("6.22.6", "no character 8FFFF", "\u{8ffff}"),
    ("6.22.7", "no character FFFFE", "\u{ffffe}"),
    ("6.22.8", "no character 10FFFE", "\u{10fffe}"),
    ("6.23.1", "the object replacement character", "\u{fffc}"),
    ("6.23.2", "the line separator", "\u{2028}"),
    ("6.23.3", "the byte order mark", "\u{feff}"),
    ("6.23.4", "private use", "\u{f8ff}"),
    ("6.23.5", "a combined emoji", "👩\u{200d}👩\u{200d}👧"),
    ("6.23.6", "written from right to left", "שלום"),
];

/// Bytes that are not UTF-8, by section.
const INVALID_BYTES: [(&str, &str, &[u8]); 48] = [
    ("6.3.1", "a surrogate between characters", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"),
    ("6.6.1", "one byte of two", b"\xce"),
    ("6.6.2", "a character and one byte of three", b"\xce\xba\xe1"),
    ("6.6.3", "a character and two bytes of three", b"\xce\xba\xe1\xbd"),
    ("6.8.1", "five bytes", b"\xf8\x88\x80\x80\x80"),
    ("6.8.2", "six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.10.1", "beyond the last character, 1FFFFF", b"\xf7\xbf\xbf\xbf"),
    ("6.10.2", "beyond the last character, five bytes", b"\xfb\xbf\xbf\xbf\xbf"),
    ("6.10.3", "beyond the last character, six bytes", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    ("6.11.5", "the first beyond the last character", b"\xf4\x90\x80\x80"),
    ("6.12.1", "the first continuation alone", b"\x80"),
    ("6.12.2", "the last continuation alone", b"\xbf"),
    ("6.12.3", "two continuations", b"\x80\xbf"),
    ("6.12.4", "three continuations", b"\x80\xbf\x80"),
    ("6.12.5", "seven continuations", b"\x80\xbf\x80\xbf\x80\xbf\x80"),
    ("6.12.6", "a character and a continuation", b"a\x80"),
    ("6.13.1", "beginnings of two bytes, each with a blank", b"\xc0 \xc1 \xdf "),
    ("6.13.2", "beginnings of three bytes, each with a blank", b"\xe0 \xef "),
    ("6.13.3", "beginnings of four bytes, each with a blank", b"\xf0 \xf7 "),
    ("6.13.4", "beginnings of five bytes, each with a blank", b"\xf8 \xfb "),
    ("6.13.5", "beginnings of six bytes, each with a blank", b"\xfc \xfd "),
    ("6.14.1", "the last of two bytes is missing", b"\xc0"),
    ("6.14.2", "the last of three bytes is missing", b"\xe0\x80"),
    ("6.14.3", "the last of four bytes is missing", b"\xf0\x80\x80"),
    ("6.14.4", "the last of five bytes is missing", b"\xf8\x80\x80\x80"),
    ("6.14.5", "the last of six bytes is missing", b"\xfc\x80\x80\x80\x80"),
    ("6.14.6", "the last of two bytes is missing after others", b"\xdf"),
    ("6.14.7", "the last of three bytes is missing after others", b"\xef\xbf"),
    ("6.14.8", "the last of four bytes is missing after others", b"\xf0\xbf\xbf"),
    ("6.15.1", "all of these in sequence", b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf"),
    ("6.16.1", "FE", b"\xfe"),
    ("6.16.2", "FF", b"\xff"),
    ("6.16.3", "FE FE FF FF", b"\xfe\xfe\xff\xff"),
    ("6.17.1", "a slash in two bytes", b"\xc0\xaf"),
    ("6.17.2", "a slash in three bytes", b"\xe0\x80\xaf"),
    ("6.17.3", "a slash in four bytes", b"\xf0\x80\x80\xaf"),
    ("6.18.1", "7F in two bytes", b"\xc1\xbf"),
    ("6.18.2", "7FF in three bytes", b"\xe0\x9f\xbf"),
    ("6.18.3", "FFFF in four bytes", b"\xf0\x8f\xbf\xbf"),
    ("6.19.1", "zero in two bytes", b"\xc0\x80"),
    ("6.19.2", "zero in three bytes", b"\xe0\x80\x80"),
    ("6.19.3", "zero in four bytes", b"\xf0\x80\x80\x80"),
    ("6.20.1", "the first surrogate", b"\xed\xa0\x80"),
    ("6.20.2", "the last high surrogate", b"\xed\xaf\xbf"),
    ("6.20.3", "the first low surrogate", b"\xed\xb0\x80"),
    ("6.20.4", "the last surrogate", b"\xed\xbf\xbf"),
    ("6.21.1", "the first pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
    ("6.21.2", "the last pair of surrogates", b"\xed\xaf\xbf\xed\xbf\xbf"),
];

fn utf8() -> Vec<Case> {
    let greek = call_of("κόσμε".as_bytes());
    let cut = greek.len() - 25;
    let broken = &[&greek[..cut], b"\xf4\x90"].concat();
    let announced = text([broken, &[b' '; 100][..]].concat());
    let mut cases = vec![
        case("6.1.1", "an empty text", text(b""), NOTHING),
        case("6.1.2", "three empty fragments, then a call", all_of(&[begin(b""), more(b""), last(b""), text(call())]), ANSWER),
        case("6.1.3", "characters between empty fragments", all_of(&[begin(b""), more(&greek), last(b"")]), "answer κόσμε"),
        case("6.2.2", "characters split by fragments of two bytes", fragments(1, &greek, 2), "answer κόσμε"),
        case("6.2.3", "characters split by fragments of one byte", fragments(1, &greek, 1), "answer κόσμε"),
        case("6.2.4", "characters split by pings", fragments_with(1, &greek, 42, &ping(b"?")), "pong ?, answer κόσμε"),
        case("6.4.1", "invalid bytes in a fragment that is not the last", all_of(&[begin(&greek[..cut]), more(b"\xf4\x90")]), INVALID_UTF8),
        case("6.4.2", "invalid bytes in a frame that is not complete", &announced[..announced.len() - 100], INVALID_UTF8),
        case("6.4.3", "half a character at the end of a message, the rest in the next", all_of(&[text(&greek[..40]), text(&greek[40..])]), INVALID_UTF8),
        case("6.7.1", "a zero is text, but must be escaped in JSON", text(call_of(b"\0")), MESSAGE_ERROR),
        case("6.7.5", "a zero that is escaped", text(call_of(b"\\u0000")), "answer \0"),
    ];
    for (section, what, characters) in CHARACTERS {
        let call = call_of(characters.as_bytes());
        cases.push(case(section, what, text(&call), format!("answer {characters}")));
        cases.push(case(section, &format!("{what}, byte by byte"), fragments(1, &call, 1), format!("answer {characters}")));
    }
    for (section, what, bytes) in INVALID_BYTES {
        cases.push(case(section, what, text(call_of(bytes)), INVALID_UTF8));
        cases.push(case(section, &format!("{what}, byte by byte"), fragments(1, &call_of(bytes), 1), INVALID_UTF8));
        cases.push(case(section, &format!("{what}, at the end"), text(bytes), INVALID_UTF8));
        cases.push(case(section, &format!("{what}, as bytes"), binary(call_of(bytes)), MESSAGE_ERROR));
    }
    cases
}

fn closing() -> Vec<Case> {
    let mut cases = vec![
        case("7.1.1", "a call, then a Close", all_of(&[text(call()), close(1000, b"")]), "answer Nope, close 1000"),
        case("7.1.2", "two Closes", all_of(&[close(1000, b""), close(1000, b"")]), CLOSED),
        case("7.1.3", "a ping after a Close", all_of(&[close(1000, b""), ping(b"?")]), CLOSED),
        case("7.1.4", "a call after a Close", all_of(&[close(1000, b""), text(call())]), CLOSED),
        case("7.1.5", "the end of a text after a Close", all_of(&[begin(b"{"), close(1000, b""), last(b"}")]), CLOSED),
        case("7.1.6", "256 KiB, then a Close", all_of(&[text(pings_and_call(256 * 1024)), close(1000, b"")]), "answer Nope, close 1000"),
        case("7.1.7", "a Close of SignalR", text(b"{\"type\":7}\x1e"), "SignalR Close, close 1000"),
        case("7.3.1", "a Close without a code", frame(0x88, b""), CLOSED),
        case("7.3.2", "a Close with half a code", frame(0x88, b"\x03"), PROTOCOL_ERROR),
        case("7.3.3", "a Close with a code", close(1000, b""), CLOSED),
        case("7.3.4", "a Close with a code and a reason", close(1000, b"bye"), CLOSED),
        case("7.3.5", "a Close with the longest reason", close(1000, [b'r'; 123]), CLOSED),
        case("7.3.6", "a Close with a reason that is too long", close(1000, [b'r'; 124]), PROTOCOL_ERROR),
        case("7.5.1", "a Close with a reason that is no text", close(1000, b"\xce\xba\xed\xa0\x80"), INVALID_UTF8),
        case("7.5.2", "a Close with a reason that ends inside a character", close(1000, b"\xce"), INVALID_UTF8),
    ];
    for (place, code) in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]).enumerate() {
        cases.push(case(&format!("7.7.{}", place + 1), &format!("a Close with {code}"), close(code, b""), CLOSED));
    }
    for (place, code) in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].into_iter().enumerate() {
        cases.push(case(&format!("7.9.{}", place + 1), &format!("a Close with {code}"), close(code, b"x"), PROTOCOL_ERROR));
    }
    cases
}

fn sizes() -> Vec<Case> {
    const LARGEST: usize = 32 * 1024;
    const MIB: usize = 1024 * 1024;
    let mut cases = vec![
        case("9.1.1", "the largest message of SignalR", text(call_sized(LARGEST)), ANSWER),
        case("9.1.2", "the largest message of SignalR, as bytes", binary(call_sized(LARGEST)), ANSWER),
        case("9.1.3", "the largest message of SignalR in many fragments", fragments(1, &call_sized(LARGEST), 64), ANSWER),
        case("9.1.4", "one byte too many", text(call_sized(LARGEST + 1)), MESSAGE_ERROR),
        case("9.1.5", "one byte too many in two fragments", fragments(1, &call_sized(LARGEST + 1), LARGEST), MESSAGE_ERROR),
        case("9.1.6", "four of the largest in one text", text(call_sized(LARGEST).repeat(4)), [ANSWER; 4].join(", ")),
    ];
    for (place, size) in [MIB / 4, MIB, 4 * MIB].into_iter().enumerate() {
        let what = format!("{size} bytes of small messages");
        cases.push(case(&format!("9.2.{}", place + 1), &what, text(pings_and_call(size)), ANSWER));
        cases.push(case(&format!("9.3.{}", place + 1), &format!("{what}, as bytes"), binary(pings_and_call(size)), ANSWER));
    }
    for (place, size) in [64, 256, 1024, 4096, 65_536, MIB / 2].into_iter().enumerate() {
        let what = format!("1 MiB in fragments of {size} bytes");
        cases.push(case(&format!("9.4.{}", place + 1), &what, fragments(1, &pings_and_call(MIB), size), ANSWER));
        cases.push(case(&format!("9.5.{}", place + 1), &format!("{what}, as bytes"), fragments(2, &pings_and_call(MIB), size), ANSWER));
    }
    let calls: Vec<u8> = (0..500).flat_map(|_| text(call())).collect();
    cases.push(case("9.7.1", "500 calls", calls, [ANSWER; 500].join(", ")));
    cases
}

fn others() -> Vec<Case> {
    vec![
        case("10.1.1", "64 KiB in fragments of 1300 bytes", fragments(1, &pings_and_call(65_536), 1300), ANSWER),
        case("10.1.2", "a ping, a call and a Close at once", all_of(&[ping(b"?"), text(call()), close(1001, b"")]), "pong ?, answer Nope, close 1000"),
    ]
}
