//! A request whose answer is read piece by piece, as it comes.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::http::{Head, Response};

/// An answer on its way.
pub(crate) struct Exchange {
    stream: TcpStream,
    /// What has come and is not decoded yet.
    raw: Vec<u8>,
    head: Option<Head>,
    /// How many bytes of the body have been decoded.
    decoded: usize,
    ended: bool,
}

/// What is new since the last look.
#[derive(Debug)]
pub(crate) struct News {
    /// The head, if it came just now, with the body's new bytes.
    pub(crate) response: Response,
    /// The answer is complete, or its connection gone.
    pub(crate) ended: bool,
}

impl Exchange {
    /// Goes on with a connection on which a request has been sent.
    pub(crate) fn new(stream: TcpStream) -> Exchange {
        Exchange { stream, raw: Vec::new(), head: None, decoded: 0, ended: false }
    }

    /// Reads until `enough` says so, or so long.
    pub(crate) fn read(&mut self, patience: Duration, mut enough: impl FnMut(&News) -> bool) -> Result<News> {
        let deadline = Instant::now() + patience;
        let (mut fresh, mut body) = (None, Vec::new());
        loop {
            if self.head.is_none()
                && let Some(head) = self.take_head()?
            {
                fresh = Some((head.status, head.headers.clone()));
                self.head = Some(head);
            }
            if self.head.is_some() {
                self.decode(&mut body)?;
            }
            let (status, headers) = fresh.clone().unwrap_or_default();
            let news = News { response: Response { status, headers, body: body.clone() }, ended: self.ended };
            if enough(&news) || self.ended || Instant::now() >= deadline {
                return Ok(news);
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
