//! Encodes the frames of the server, which are neither masked nor fragmented. No I/O.

use std::sync::Arc;

use crate::signalr::protocol::Protocol;

/// The type of a frame (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// The first fragment of a message in UTF-8.
    Text = 1,
    /// The first fragment of a binary message.
    Binary = 2,
    /// The end of the connection.
    Close = 8,
    /// A ping.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    /// Returns the opcode with a number, or `None` if the number is reserved.
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

    /// Returns the opcode for the messages of a protocol.
    pub fn for_protocol(protocol: Protocol) -> Opcode {
        match protocol {
            Protocol::Json => Opcode::Text,
            Protocol::MessagePack => Opcode::Binary,
        }
    }
}

/// Returns the header of a frame with a payload of `length` bytes, in a buffer, and the length of the header.
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

/// Appends a complete frame.
pub fn write(opcode: Opcode, payload: &[u8], bytes: &mut Vec<u8>) {
    let (header, used) = header(opcode, payload.len());
    bytes.reserve(used + payload.len());
    bytes.extend_from_slice(&header[..used]);
    bytes.extend_from_slice(payload);
}

/// A SignalR message as a WebSocket frame, encoded once and shared by all connections that it is written to.
#[derive(Clone)]
pub struct Frame(Arc<[u8]>);

impl Frame {
    /// Encodes a message as a frame.
    pub fn new(protocol: Protocol, body: &[u8]) -> Frame {
        let (header, used) = header(Opcode::for_protocol(protocol), body.len());
        Frame([&header[..used], body].concat().into())
    }

    /// Returns the bytes of the frame, with its header.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the message without the frame's header.
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
