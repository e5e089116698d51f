//! What the controls have in common: the bytes that they answer with, the frame that they push, and how they are asked for it.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::push::{Audience, STAMP};

/// The answer to the one `Sec-WebSocket-Key` that the load generator sends.
pub const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// The frame that answers the SignalR handshake.
pub const HANDSHAKE: &[u8] = b"\x82\x03{}\x1e";
/// A ping of the server.
pub const PING: &[u8] = b"\x82\x03\x02\x91\x06";
/// The answer to a push.
pub const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// The line that says where a server listens.
pub fn listening(public: SocketAddr, internal: SocketAddr) -> String {
    format!(r#"{{"listening":{{"public":"{public}","internal":"{internal}"}}}}"#)
}

/// The frame that a control pushes.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Vec<u8>,
    head: usize,
}

impl Frame {
    /// A binary frame of this many bytes, its head included.
    pub fn new(length: usize) -> Result<Self> {
        let mut bytes = match length {
            2..=127 => vec![0x82, (length - 2) as u8],
            130..=65_539 => [&[0x82, 126], ((length - 4) as u16).to_be_bytes().as_slice()].concat(),
            _ => bail!("no frame has {length} bytes"),
        };
        let head = bytes.len();
        bytes.resize(length, b'x');
        Ok(Self { bytes, head })
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is in it.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// Writes a stamp to the begin of its payload, if there is one and if it fits.
    pub fn stamp(&mut self, stamp: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.head..self.head + stamp.len()) {
            place.copy_from_slice(stamp);
        }
    }
}

/// A request for a push, as [`super::push::Push`] writes it for controls.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Whom the push is for.
    pub audience: Audience,
    /// Its stamp, or nothing.
    pub stamp: &'a [u8],
}

/// Takes the first of several requests that were read at once.
pub fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<Request<'a>>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { bail!("a request came in pieces") };
    let audience = request.path.and_then(Audience::from_path).context("a push for nobody")?;
    let length = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.map_or(b"0", |field| field.value))?.parse()?;
    let Some((stamp, rest)) = bytes[head..].split_at_checked(length) else { bail!("a body came in pieces") };
    *bytes = rest;
    Ok(Some(Request { audience, stamp: if length == STAMP { stamp } else { b"" } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::push::Push;

    #[test]
    fn frame_new_has_the_requested_length() {
        for length in [2, 127, 130, 300] {
            let frame = Frame::new(length).unwrap();
            assert_eq!(frame.bytes().len(), length);
            assert!(frame.payload().iter().all(|byte| *byte == b'x'));
        }
        assert!(Frame::new(128).is_err() && Frame::new(1).is_err());
        let mut small = Frame::new(4).unwrap();
        small.stamp(b"@0123");
        assert_eq!(small.payload(), b"xx");
    }

    #[test]
    fn next_parses_pipelined_push_requests() {
        let host = SocketAddr::from(([127, 0, 0, 1], 80));
        let pushes = [
            Push { audience: Audience::User(17), stamp: Some(0xabc) },
            Push { audience: Audience::Everybody, stamp: None },
            Push { audience: Audience::Group, stamp: None },
        ];
        let all: Vec<u8> = pushes.iter().flat_map(|push| push.for_control(host)).collect();
        let mut rest = all.as_slice();
        let first = next(&mut rest).unwrap().unwrap();
        assert_eq!(first, Request { audience: Audience::User(17), stamp: b"@0000000000000abc" });
        assert_eq!(next(&mut rest).unwrap().unwrap().audience, Audience::Everybody);
        assert_eq!(next(&mut rest).unwrap().unwrap().audience, Audience::Group);
        assert_eq!(next(&mut rest).unwrap(), None);
        assert!(next(&mut b"POST / HT".as_slice()).is_err());
    }
}
