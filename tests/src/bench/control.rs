//! The code that the controls share: their fixed responses, the frame that they push, and the parser of push requests.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};

use super::push::{Audience, STAMP_BYTES};

/// The response to an upgrade request with the `Sec-WebSocket-Key` of the load generator.
pub const UPGRADE_RESPONSE: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// The frame of the handshake response.
pub const HANDSHAKE_RESPONSE: &[u8] = b"\x82\x03{}\x1e";
/// A ping of the server.
pub const PING: &[u8] = b"\x82\x03\x02\x91\x06";
/// The response to a push request.
pub const PUSH_RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Returns the line with the addresses of a server, like that of the hub.
pub fn listening_line(public: SocketAddr, internal: SocketAddr) -> String {
    format!(r#"{{"listening":{{"public":"{public}","internal":"{internal}"}}}}"#)
}

/// The binary frame that a control pushes.
#[derive(Debug, Clone)]
pub struct Frame {
    bytes: Vec<u8>,
    head: usize,
}

impl Frame {
    /// Creates a frame of `length` bytes, including its header.
    pub fn new(length: usize) -> Result<Self> {
        let mut bytes = match length {
            2..=127 => vec![0x82, (length - 2) as u8],
            130..=65_539 => [&[0x82, 126], ((length - 4) as u16).to_be_bytes().as_slice()].concat(),
            _ => bail!("no frame can have {length} bytes"),
        };
        let head = bytes.len();
        bytes.resize(length, b'x');
        Ok(Self { bytes, head })
    }

    /// Returns the whole frame.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    /// Writes a stamp to the start of the payload. Does nothing if the stamp is empty or does not fit.
    pub fn stamp(&mut self, stamp: &[u8]) {
        if let Some(place) = self.bytes.get_mut(self.head..self.head + stamp.len()) {
            place.copy_from_slice(stamp);
        }
    }
}

/// A request for a push, as [`super::push::Push`] writes it for controls.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The audience of the push.
    pub audience: Audience,
    /// The stamp of the push, or empty.
    pub stamp: &'a [u8],
}

/// Removes the first request from some bytes and returns it, or `None` if they are empty.
///
/// # Errors
/// If a request is incomplete or invalid.
pub fn next_request<'a>(bytes: &mut &'a [u8]) -> Result<Option<Request<'a>>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes)? else { bail!("an incomplete request") };
    let audience = request.path.and_then(Audience::from_path).context("a request without an audience")?;
    let length = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length: usize = std::str::from_utf8(length.map_or(b"0", |field| field.value))?.parse()?;
    let Some((stamp, rest)) = bytes[head..].split_at_checked(length) else { bail!("an incomplete body") };
    *bytes = rest;
    Ok(Some(Request { audience, stamp: if length == STAMP_BYTES { stamp } else { b"" } }))
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
    fn next_request_parses_pipelined_push_requests() {
        let host = SocketAddr::from(([127, 0, 0, 1], 80));
        let pushes = [
            Push { audience: Audience::User(17), stamp: Some(0xabc) },
            Push { audience: Audience::Everyone, stamp: None },
            Push { audience: Audience::Group, stamp: None },
        ];
        let all: Vec<u8> = pushes.iter().flat_map(|push| push.for_control(host)).collect();
        let mut rest = all.as_slice();
        let first = next_request(&mut rest).unwrap().unwrap();
        assert_eq!(first, Request { audience: Audience::User(17), stamp: b"@0000000000000abc" });
        assert_eq!(next_request(&mut rest).unwrap().unwrap().audience, Audience::Everyone);
        assert_eq!(next_request(&mut rest).unwrap().unwrap().audience, Audience::Group);
        assert_eq!(next_request(&mut rest).unwrap(), None);
        assert!(next_request(&mut b"POST / HT".as_slice()).is_err());
    }
}
