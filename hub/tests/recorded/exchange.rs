//! A request whose answer is read incrementally, such as a poll or an event stream.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::http::{Head, Response};

/// A request that was sent, and the part of its answer that was received.
pub(crate) struct Exchange {
    stream: TcpStream,
    /// Received bytes that are not decoded yet.
    raw: Vec<u8>,
    head: Option<Head>,
    /// How many bytes of the body have been decoded.
    decoded: usize,
    ended: bool,
}

/// The part of an answer that was received since the last read.
#[derive(Debug)]
pub(crate) struct Part {
    /// The head, if it was received in this part, and the new bytes of the body.
    pub(crate) response: Response,
    /// Whether the answer is complete or the connection closed.
    pub(crate) ended: bool,
}

impl Exchange {
    /// Creates an exchange from a connection on which a request was sent.
    pub(crate) fn new(stream: TcpStream) -> Exchange {
        Exchange { stream, raw: Vec::new(), head: None, decoded: 0, ended: false }
    }

    /// Reads until `is_enough` returns true, the answer ends, or the timeout.
    pub(crate) fn read(&mut self, timeout: Duration, mut is_enough: impl FnMut(&Part) -> bool) -> Result<Part> {
        let deadline = Instant::now() + timeout;
        let (mut new_head, mut body) = (None, Vec::new());
        loop {
            if self.head.is_none()
                && let Some(head) = self.take_head()?
            {
                new_head = Some((head.status, head.headers.clone()));
                self.head = Some(head);
            }
            if self.head.is_some() {
                self.decode(&mut body)?;
            }
            let (status, headers) = new_head.clone().unwrap_or_default();
            let part = Part { response: Response { status, headers, body: body.clone() }, ended: self.ended };
            if is_enough(&part) || self.ended || Instant::now() >= deadline {
                return Ok(part);
            }
            self.wait(deadline)?;
        }
    }

    fn wait(&mut self, deadline: Instant) -> Result<()> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.raw.extend_from_slice(&buffer[..count]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn take_head(&mut self) -> Result<Option<Head>> {
        let Some(end) = self.raw.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let rest = self.raw.split_off(end + 4);
        let head = std::mem::replace(&mut self.raw, rest);
        Head::read(&head).map(Some)
    }

    fn decode(&mut self, body: &mut Vec<u8>) -> Result<()> {
        let head = self.head.as_ref().context("a head")?;
        if head.status == 204 {
            self.ended = true;
        } else if head.chunked {
            while let Some(line) = self.raw.windows(2).position(|window| window == b"\r\n") {
                let length = std::str::from_utf8(&self.raw[..line])?;
                let length = usize::from_str_radix(length, 16).with_context(|| format!("a chunk of {length:?}"))?;
                if self.raw.len() < line + 2 + length + 2 {
                    break;
                }
                body.extend_from_slice(&self.raw[line + 2..line + 2 + length]);
                ensure!(&self.raw[line + 2 + length..line + 4 + length] == b"\r\n", "a chunk without an end");
                self.raw.drain(..line + 4 + length);
                self.ended |= length == 0;
            }
        } else if let Some(length) = head.length {
            self.decoded += self.raw.len();
            body.append(&mut self.raw);
            if self.decoded > length {
                bail!("{} bytes of {length}", self.decoded);
            }
            self.ended |= self.decoded == length;
        } else {
            body.append(&mut self.raw);
        }
        Ok(())
    }
}
