//! Frames that the server writes: never masked, never fragmented.

use std::sync::Arc;

use crate::signalr::protocol::Protocol;

/// The kinds of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message before.
    Continuation = 0,
    /// UTF-8.
    Text = 1,
    /// Bytes.
    Binary = 2,
    /// The end.
    Close = 8,
    /// A question for a sign of life.
    Ping = 9,
    /// Its answer.
    Pong = 10,
}

impl Opcode {
    /// The opcode with this number.
    pub fn from_number(number: u8) -> Option<Opcode> {
        Some(match number {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    /// The kind in which a protocol's messages travel.
    pub fn for_protocol(protocol: Protocol) -> Opcode {
        match protocol {
            Protocol::Json => Opcode::Text,
            Protocol::MessagePack => Opcode::Binary,
        }
    }
}

/// A frame's header: the bytes and how many of them count.
pub fn header(opcode: Opcode, length: usize) -> ([u8; 10], usize) {
    let mut header = [0; 10];
    header[0] = 0x80 | opcode as u8;
    let used = match length {
        0..=125 => {
            header[1] = length as u8;
            2
        }
        126..=0xffff => {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            header[1] = 127;
            header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    (header, used)
}

/// Appends a whole frame.
pub fn write(opcode: Opcode, payload: &[u8], bytes: &mut Vec<u8>) {
    let (header, used) = header(opcode, payload.len());
    bytes.reserve(used + payload.len());
    bytes.extend_from_slice(&header[..used]);
    bytes.extend_from_slice(payload);
}

/// One SignalR message as a WebSocket frame, made once and shared by every socket that it goes to.
#[derive(Clone)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// Wraps a message.
    pub fn new(protocol: Protocol, body: &[u8]) -> Frame {
        let (header, used) = header(Opcode::for_protocol(protocol), body.len());
        Frame([&header[..used], body].concat().into())
    }

    /// The whole frame, for a WebSocket.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The message alone, for everything else.
    pub fn body(&self) -> &[u8] {
        let start = match self.0[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        &self.0[start..]
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Frame({} bytes)", self.0.len())
    }
}
