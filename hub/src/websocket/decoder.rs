//! Decodes the frames of a client. The events are the same for each split of the input. No I/O.

use super::code;
use super::frame::Opcode;
use crate::signalr::protocol::Utf8;

/// An event of the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A part of a message, unmasked.
    Data {
        /// The bytes.
        payload: &'a [u8],
        /// `true` if the message ends with them.
        ends: bool,
    },
    /// A ping, which is answered by a pong with the same payload.
    Ping(Vec<u8>),
    /// A pong, which is ignored.
    Pong,
    /// A valid Close, which is answered by a Close.
    Close,
    /// A violation of the protocol. The connection is closed with this close code.
    ProtocolError(u16),
}

/// The largest payload of a control frame, in bytes (RFC 6455 5.5).
const MAX_CONTROL_PAYLOAD_BYTES: usize = 125;

/// The state of the decoder between two reads.
#[derive(Debug, Default)]
pub struct Decoder {
    header: HeaderBuffer,
    /// The frame whose payload is being read.
    frame: Option<FrameInProgress>,
    /// `Some` inside a message: `true` for text, `false` for binary.
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
    is_final: bool,
    /// The bytes of the payload that are not read yet.
    remaining: u64,
    mask: [u8; 4],
    /// The offset in the mask of the next byte.
    mask_offset: u8,
}

impl Decoder {
    /// Returns `true` between two messages. The decoder holds no state then.
    pub fn is_idle(&self) -> bool {
        self.frame.is_none() && self.message.is_none() && self.header.length == 0
    }

    /// Returns the next event, or `None` if the input is used up. Must not be called after a Close or a protocol error.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Event<'a>> {
        loop {
            if self.frame.is_none() {
                let frame = match self.header.read(input)? {
                    Ok(frame) if self.is_allowed(&frame) => frame,
                    Ok(_) | Err(InvalidHeader) => return Some(Event::ProtocolError(code::PROTOCOL_ERROR)),
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
            let (opcode, is_final) = (frame.opcode, frame.is_final);
            if complete {
                self.frame = None;
            }
            match opcode {
                Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                    let ends = complete && is_final;
                    if self.message == Some(true) && (!self.utf8.accept(piece) || (ends && !self.utf8.is_complete())) {
                        return Some(Event::ProtocolError(code::INVALID_DATA));
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
                            _ => parse_close(&payload),
                        });
                    }
                }
            }
        }
    }

    /// Returns `true` if a frame is allowed here: continuations only inside a message, new messages only outside.
    fn is_allowed(&self, frame: &FrameInProgress) -> bool {
        match frame.opcode {
            Opcode::Continuation => self.message.is_some(),
            Opcode::Text | Opcode::Binary => self.message.is_none(),
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
        }
    }
}

/// A frame header that violates the protocol.
struct InvalidHeader;

impl HeaderBuffer {
    /// Reads a header, byte by byte if it is split. Returns `None` while it is incomplete.
    fn read(&mut self, input: &mut &mut [u8]) -> Option<Result<FrameInProgress, InvalidHeader>> {
        if self.length == 0
            && let [first, second, ..] = **input
            && input.len() >= header_length(second)
        {
            let (header, rest) = std::mem::take(input).split_at_mut(header_length(second));
            *input = rest;
            return Some(if is_invalid(first, second) { Err(InvalidHeader) } else { parse_header(header) });
        }
        loop {
            let length = usize::from(self.length);
            if length >= 2 && length == header_length(self.bytes[1]) {
                self.length = 0;
                return Some(parse_header(&self.bytes[..length]));
            }
            let (&mut byte, rest) = std::mem::take(input).split_first_mut()?;
            *input = rest;
            self.bytes[length] = byte;
            self.length += 1;
            // An invalid header is rejected after its first two bytes, without waiting for the rest.
            if length == 1 && is_invalid(self.bytes[0], self.bytes[1]) {
                return Some(Err(InvalidHeader));
            }
        }
    }
}

/// Returns the length of a header in bytes, by its second byte.
fn header_length(second: u8) -> usize {
    6 + match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// Returns `true` for reserved bits, unknown opcodes, unmasked frames, and control frames that are too long or fragmented.
fn is_invalid(first: u8, second: u8) -> bool {
    let is_control = first & 0x08 != 0;
    let is_long = usize::from(second & 0x7f) > MAX_CONTROL_PAYLOAD_BYTES;
    first & 0x70 != 0
        || second & 0x80 == 0
        || Opcode::from_number(first & 0x0f).is_none()
        || (is_control && (first & 0x80 == 0 || is_long))
}

/// Parses a complete header.
fn parse_header(header: &[u8]) -> Result<FrameInProgress, InvalidHeader> {
    let (start, mask) = header.split_last_chunk::<4>().ok_or(InvalidHeader)?;
    let remaining = match start {
        [_, second] => u64::from(second & 0x7f),
        [_, _, length @ ..] => length.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)),
        _ => return Err(InvalidHeader),
    };
    let opcode = Opcode::from_number(start[0] & 0x0f).filter(|_| remaining >> 63 == 0).ok_or(InvalidHeader)?;
    Ok(FrameInProgress { opcode, is_final: start[0] & 0x80 != 0, remaining, mask: *mask, mask_offset: 0 })
}

impl FrameInProgress {
    /// Unmasks the next part of the payload in place.
    fn unmask(&mut self, piece: &mut [u8]) {
        let offset = usize::from(self.mask_offset);
        let mask: [u8; 4] = std::array::from_fn(|at| self.mask[(offset + at) & 3]);
        let mut words = piece.chunks_exact_mut(4);
        for word in &mut words {
            word.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        }
        words.into_remainder().iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
        self.mask_offset = ((offset + piece.len()) & 3) as u8;
        self.remaining -= piece.len() as u64;
    }
}

/// Parses the payload of a Close frame (RFC 6455 5.5.1 and 7.4).
fn parse_close(payload: &[u8]) -> Event<'static> {
    match payload {
        [] => Event::Close,
        [high, low, reason @ ..] => match u16::from_be_bytes([*high, *low]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Event::Close,
            1000..=1003 | 1007..=1014 | 3000..=4999 => Event::ProtocolError(code::INVALID_DATA),
            _ => Event::ProtocolError(code::PROTOCOL_ERROR),
        },
        [_] => Event::ProtocolError(code::PROTOCOL_ERROR),
    }
}
