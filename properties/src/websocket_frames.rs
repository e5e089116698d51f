//! Checks the WebSocket decoder against one that has the whole input at once and no state.

use notification_hub::signalr::protocol::Protocol;
use notification_hub::websocket::{Decoder, Event, Frame, Opcode, header};

use crate::splits::splits;

/// The content of an input. Fragments of a message are joined, and a violation discards an incomplete message.
#[derive(Debug, Default, PartialEq)]
struct Decoded {
    messages: Vec<Vec<u8>>,
    pings: Vec<Vec<u8>>,
    pongs: usize,
    /// The message that is not complete.
    partial: Vec<u8>,
    /// The close code of a violation, 1000 for a Close, or `None` if the input has neither.
    close_code: Option<u16>,
}

/// Checks that each split of an input decodes as the naive decoder does, and that the frames of a message decode to it.
pub(crate) fn check(input: &[u8]) {
    let expected = decode_naively(input);
    for pieces in splits(input) {
        assert_eq!(decode(&pieces), expected, "in {} pieces", pieces.len());
    }
    for fragments in splits(input) {
        let framed = frame_message(Opcode::Binary, &fragments);
        let content = decode(&[&framed]);
        assert_eq!(content, Decoded { messages: vec![input.to_vec()], ..Decoded::default() });
    }
    for protocol in Protocol::VARIANTS {
        let frame = Frame::new(protocol, input);
        let (first, payload, rest) = parse_server_frame(frame.bytes()).expect("a whole frame");
        assert_eq!((first, payload, rest), (0x80 | Opcode::for_protocol(protocol) as u8, input, &b""[..]));
        assert_eq!(frame.body(), input);
    }
}

/// Returns the masked frames of a message in these fragments.
pub(crate) fn frame_message(opcode: Opcode, fragments: &[&[u8]]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = Vec::new();
    let whole: &[&[u8]] = if fragments.is_empty() { &[b""] } else { fragments };
    for (place, fragment) in whole.iter().enumerate() {
        let opcode = if place == 0 { opcode } else { Opcode::Continuation };
        let (mut header, used) = header(opcode, fragment.len());
        if place + 1 < whole.len() {
            header[0] &= 0x7f;
        }
        header[1] |= 0x80;
        bytes.extend_from_slice(&header[..used]);
        bytes.extend_from_slice(&MASK);
        bytes.extend(fragment.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    bytes
}

/// Returns the first byte and the payload of the first frame of a server, and the bytes behind it. `None` if the frame is
/// incomplete, masked, or has a longer header than necessary.
pub(crate) fn parse_server_frame(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short {
        0..=125 => (usize::from(short), rest),
        126 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        127 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let shortest = match short {
        126 => length > 125,
        127 => length > 0xffff,
        _ => true,
    };
    let (payload, rest) = rest.split_at_checked(length).filter(|_| shortest)?;
    Some((first, payload, rest))
}

fn decode(pieces: &[&[u8]]) -> Decoded {
    let mut decoder = Decoder::default();
    let mut content = Decoded::default();
    let mut unmasked = Vec::new();
    for piece in pieces {
        unmasked.clear();
        unmasked.extend_from_slice(piece);
        let mut input = unmasked.as_mut_slice();
        while let Some(event) = decoder.next(&mut input) {
            match event {
                Event::Data { payload, ends } => {
                    content.partial.extend_from_slice(payload);
                    if ends {
                        content.messages.push(std::mem::take(&mut content.partial));
                    }
                }
                Event::Ping(payload) => content.pings.push(payload),
                Event::Pong => content.pongs += 1,
                Event::Close => return content.closed_with(1000),
                Event::ProtocolError(code) => return content.closed_with(code),
            }
        }
        assert!(input.is_empty(), "the input is used up");
    }
    content
}

impl Decoded {
    fn closed_with(mut self, code: u16) -> Decoded {
        self.close_code = Some(code);
        self.partial.clear();
        self
    }
}

/// Decodes an input by section 5 of RFC 6455.
fn decode_naively(input: &[u8]) -> Decoded {
    let mut content = Decoded::default();
    // Whether the fragmented message is text; `None` between messages.
    let mut message: Option<bool> = None;
    let mut rest = input;
    while let [first, second, behind @ ..] = rest {
        let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        let known = matches!(opcode, 0..=2 | 8..=10);
        if reserved != 0 || !known || !masked || (opcode >= 8 && (!last || short > 125)) {
            return content.closed_with(1002);
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((head, payload)) = behind.split_at_checked(wide + 4) else { break };
        let (length, mask) = head.split_at(wide);
        let length = length.iter().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        let length = if wide == 0 { u64::from(short) } else { length };
        let starts = matches!(opcode, 1 | 2);
        if length >> 63 != 0 || (starts && message.is_some()) || (opcode == 0 && message.is_none()) {
            return content.closed_with(1002);
        }
        let here = usize::try_from(length).map_or(payload.len(), |length| length.min(payload.len()));
        let whole = here as u64 == length;
        let payload: Vec<u8> =
            payload[..here].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        rest = &behind[head.len() + here..];
        if opcode < 8 {
            if starts {
                message = Some(opcode == 1);
            }
            content.partial.extend_from_slice(&payload);
            let ends = whole && last;
            if message == Some(true)
                && let Err(error) = std::str::from_utf8(&content.partial)
                && (ends || error.error_len().is_some())
            {
                return content.closed_with(1007);
            }
            if ends {
                content.messages.push(std::mem::take(&mut content.partial));
                message = None;
            }
        } else if whole {
            match opcode {
                8 => return content.closed_with(expected_close_code(&payload)),
                9 => content.pings.push(payload),
                _ => content.pongs += 1,
            }
        }
    }
    content
}

/// Returns the status code for the payload of a Close frame: 1000, or the code of its violation.
fn expected_close_code(payload: &[u8]) -> u16 {
    let Some((code, reason)) = payload.split_first_chunk() else { return if payload.is_empty() { 1000 } else { 1002 } };
    match u16::from_be_bytes(*code) {
        0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => 1002,
        _ if std::str::from_utf8(reason).is_err() => 1007,
        _ => 1000,
    }
}
