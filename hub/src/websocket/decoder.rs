//! Takes apart what a client sends: any split of the input gives the same events.

use super::code;
use super::frame::Opcode;
use crate::signalr::protocol::Utf8;

/// What a client said, as far as the layer above has to know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A piece of a message, unmasked.
    Data {
        /// The bytes.
        payload: &'a [u8],
        /// The message ends with them.
        ends: bool,
    },
    /// A ping, to be answered with the same payload.
    Ping(Vec<u8>),
    /// A pong: nobody asked, nothing to do.
    Pong,
    /// A close that can be answered in kind.
    Close,
    /// The protocol was broken: answer with this close code and hang up.
    Violation(u16),
}

/// The longest payload of a control frame.
const MAX_CONTROL_PAYLOAD: usize = 125;

/// The state between two bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    header: HeaderBuffer,
    /// The frame whose payload is being read.
    frame: Option<FrameInProgress>,
    /// The message that fragments belong to: is it text?
    message: Option<bool>,
    utf8: Utf8,
    control: Vec<u8>,
}

#[derive(Debug, Default)]
struct HeaderBuffer {
    bytes: [u8; 14],
    length: u8,
}

#[derive(Debug)]
struct FrameInProgress {
    opcode: Opcode,
    last: bool,
    remaining: u64,
    mask: [u8; 4],
    place: u8,
}

impl Decoder {
    /// Whether it stands between two messages: then nothing of it has to be kept.
    pub fn is_idle(&self) -> bool {
        self.frame.is_none() && self.message.is_none() && self.header.length == 0
    }

    /// The next event; nothing when the input is used up. After a close or a violation there is no next one.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        loop {
            if self.frame.is_none() {
                let frame = match self.header.read(input)? {
                    Ok(frame) if self.admits(&frame) => frame,
                    Ok(_) | Err(Broken) => return Some(Event::Violation(code::PROTOCOL_ERROR)),
                };
                if matches!(frame.opcode, Opcode::Text | Opcode::Binary) {
                    self.message = Some(frame.opcode == Opcode::Text);
                    self.utf8 = Utf8::default();
                }
                self.frame = Some(frame);
            }
            let frame = self.frame.as_mut()?;
            if frame.remaining > 0 && input.is_empty() {
                return None;
            }
            let count = usize::try_from(frame.remaining).map_or(input.len(), |remaining| remaining.min(input.len()));
            let (piece, rest) = std::mem::take(input).split_at_mut(count);
            *input = rest;
            frame.unmask(piece);
            let complete = frame.remaining == 0;
            let (opcode, last) = (frame.opcode, frame.last);
            if complete {
                self.frame = None;
            }
            match opcode {
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    let ends = complete && last;
                    if self.message == Some(true) && (!self.utf8.accept(piece) || (ends && !self.utf8.is_complete())) {
                        return Some(Event::Violation(code::INVALID_DATA));
                    }
                    if ends {
                        self.message = None;
                    }
                    if !piece.is_empty() || ends {
                        return Some(Event::Data { payload: piece, ends });
                    }
                }
                Opcode::Ping | Opcode::Pong | Opcode::Close => {
                    self.control.extend_from_slice(piece);
                    if complete {
                        let payload = std::mem::take(&mut self.control);
                        return Some(match opcode {
                            Opcode::Ping => Event::Ping(payload),
                            Opcode::Pong => Event::Pong,
                            _ => closing(&payload),
                        });
                    }
                }
            }
        }
    }

    /// Whether a frame may come here: fragments only inside a message, new messages only outside.
    fn admits(&self, frame: &FrameInProgress) -> bool {
        match frame.opcode {
            Opcode::Continuation => self.message.is_some(),
            Opcode::Text | Opcode::Binary => self.message.is_none(),
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
        }
    }
}

/// A header that breaks the protocol.
struct Broken;

impl HeaderBuffer {
    /// Reads a header, collected byte by byte if it does not come in one piece; nothing while it is not whole.
    fn read(&mut self, input: &mut &mut [u8]) -> Option<Result<FrameInProgress, Broken>> {
        if self.length == 0
            && let [first, second, ..] = **input
            && input.len() >= needed(second)
        {
            let (header, rest) = std::mem::take(input).split_at_mut(needed(second));
            *input = rest;
            return Some(if is_broken(first, second) { Err(Broken) } else { parse(header) });
        }
        loop {
            let length = usize::from(self.length);
            if length >= 2 && length == needed(self.bytes[1]) {
                self.length = 0;
                return Some(parse(&self.bytes[..length]));
            }
            let (&mut byte, rest) = std::mem::take(input).split_first_mut()?;
            *input = rest;
            self.bytes[length] = byte;
            self.length += 1;
            // What the first two bytes forbid is refused without waiting for the rest.
            if length == 1 && is_broken(self.bytes[0], self.bytes[1]) {
                return Some(Err(Broken));
            }
        }
    }
}

/// How long a header is, by its second byte.
fn needed(second: u8) -> usize {
    6 + match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// Reserved bits, unknown opcodes, unmasked frames, control frames that are long or fragmented.
fn is_broken(first: u8, second: u8) -> bool {
    let control = first & 0x08 != 0;
    let long = usize::from(second & 0x7f) > MAX_CONTROL_PAYLOAD;
    first & 0x70 != 0
        || second & 0x80 == 0
        || Opcode::from_number(first & 0x0f).is_none()
        || (control && (first & 0x80 == 0 || long))
}

/// Reads a whole header.
fn parse(header: &[u8]) -> Result<FrameInProgress, Broken> {
    let (start, mask) = header.split_last_chunk::<4>().ok_or(Broken)?;
    let remaining = match start {
        [_, second] => u64::from(second & 0x7f),
        [_, _, length @ ..] => length.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)),
        _ => return Err(Broken),
    };
    let opcode = Opcode::from_number(start[0] & 0x0f).filter(|_| remaining >> 63 == 0).ok_or(Broken)?;
    Ok(FrameInProgress { opcode, last: start[0] & 0x80 != 0, remaining, mask: *mask, place: 0 })
}

impl FrameInProgress {
    /// Unmasks the next piece of the payload in place.
    fn unmask(&mut self, piece: &mut [u8]) {
        let place = usize::from(self.place);
        let mask: [u8; 4] = std::array::from_fn(|at| self.mask[(place + at) & 3]);
        let mut words = piece.chunks_exact_mut(4);
        for word in &mut words {
            word.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        words.into_remainder().iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        self.place = ((place + piece.len()) & 3) as u8;
        self.remaining -= piece.len() as u64;
    }
}

/// What a close frame asks for.
fn closing(payload: &[u8]) -> Event<'static> {
    match payload {
        [] => Event::Close,
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Event::Close,
            1000..=1003 | 1007..=1014 | 3000..=4999 => Event::Violation(code::INVALID_DATA),
            _ => Event::Violation(code::PROTOCOL_ERROR),
        },
        [_] => Event::Violation(code::PROTOCOL_ERROR),
    }
}
