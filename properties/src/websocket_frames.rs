//! The WebSocket decoder, beside one that has the whole input at once and no state.

use notification_hub::signalr::protocol::Protocol;
use notification_hub::websocket::{Decoder, Event, Frame, Opcode, header};

use crate::cuts::cuts;

/// What an input says. Pieces of a message are put together; what of a message precedes a violation does not count.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    pub(crate) messages: Vec<Vec<u8>>,
    pings: Vec<Vec<u8>>,
    pongs: usize,
    begun: Vec<u8>,
    /// The close code of a violation, or 1000 for a close.
    over: Option<u16>,
}

/// However it is cut, an input is what the naive reader reads; and what is framed comes out as it went in.
pub(crate) fn check(input: &[u8]) {
    let expected = naively(input);
    for pieces in cuts(input) {
        assert_eq!(decoded(&pieces), expected, "in {} pieces", pieces.len());
    }
    for fragments in cuts(input) {
        let framed = framed(Opcode::Binary, &fragments);
        let said = decoded(&[&framed]);
        assert_eq!(said, Said { messages: vec![input.to_vec()], ..Said::default() });
    }
    for protocol in Protocol::VARIANTS {
        let frame = Frame::new(protocol, input);
        let (first, payload, rest) = from_server(frame.bytes()).expect("a whole frame");
        assert_eq!((first, payload, rest), (0x80 | Opcode::for_protocol(protocol) as u8, input, &b""[..]));
        assert_eq!(frame.body(), input);
    }
}

/// A message as a client sends it, in these fragments.
pub(crate) fn framed(opcode: Opcode, fragments: &[&[u8]]) -> Vec<u8> {
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

/// The first byte and the payload of a server's first frame, which has to be unmasked, with the shortest header; and what is
/// behind it.
pub(crate) fn from_server(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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

fn decoded(pieces: &[&[u8]]) -> Said {
    let mut decoder = Decoder::default();
    let mut said = Said::default();
    let mut unmasked = Vec::new();
    for piece in pieces {
        unmasked.clear();
        unmasked.extend_from_slice(piece);
        let mut input = unmasked.as_mut_slice();
        while let Some(event) = decoder.next(&mut input) {
            match event {
                Event::Data { payload, ends } => {
                    said.begun.extend_from_slice(payload);
                    if ends {
                        said.messages.push(std::mem::take(&mut said.begun));
                    }
                }
                Event::Ping(payload) => said.pings.push(payload),
                Event::Pong => said.pongs += 1,
                Event::Close => return said.over(1000),
                Event::ProtocolError(code) => return said.over(code),
            }
        }
        assert!(input.is_empty(), "the input is used up");
    }
    said
}

impl Said {
    fn over(mut self, code: u16) -> Said {
        self.over = Some(code);
        self.begun.clear();
        self
    }
}

/// RFC 6455, section 5, to the letter.
pub(crate) fn naively(input: &[u8]) -> Said {
    let mut said = Said::default();
    // The message that fragments belong to: is it text?
    let mut message: Option<bool> = None;
    let mut rest = input;
    while let [first, second, behind @ ..] = rest {
        let (last, reserved, opcode) = (first & 0x80 != 0, first & 0x70, first & 0x0f);
        let (masked, short) = (second & 0x80 != 0, second & 0x7f);
        let known = matches!(opcode, 0..=2 | 8..=10);
        if reserved != 0 || !known || !masked || (opcode >= 8 && (!last || short > 125)) {
            return said.over(1002);
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
            return said.over(1002);
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
            said.begun.extend_from_slice(&payload);
            let ends = whole && last;
            if message == Some(true)
                && let Err(error) = std::str::from_utf8(&said.begun)
                && (ends || error.error_len().is_some())
            {
                return said.over(1007);
            }
            if ends {
                said.messages.push(std::mem::take(&mut said.begun));
                message = None;
            }
        } else if whole {
            match opcode {
                8 => return said.over(closing(&payload)),
                9 => said.pings.push(payload),
                _ => said.pongs += 1,
            }
        }
    }
    said
}

fn closing(payload: &[u8]) -> u16 {
    let Some((code, reason)) = payload.split_first_chunk() else { return if payload.is_empty() { 1000 } else { 1002 } };
    match u16::from_be_bytes(*code) {
        0..=999 | 1004..=1006 | 1015..=2999 | 5000.. => 1002,
        _ if std::str::from_utf8(reason).is_err() => 1007,
        _ => 1000,
    }
}
