//! Pushes at fixed moments, whether the earlier ones have been delivered or not: what waits for a slow server counts.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// How many connections take turns, so that a push need not wait for the answer to the one before.
const SENDERS: usize = 8;

/// Tokens from here on are those of senders.
const FIRST: usize = 1 << 32;

/// What makes the request of push `number`, due at `stamp`.
pub type Pushes = Box<dyn Fn(usize, u64) -> Vec<u8>>;

/// A schedule, with the connections that it is sent on.
pub struct Pace {
    senders: Vec<TcpStream>,
    pushes: Pushes,
    every: Duration,
    next: Instant,
    /// How many pushes were sent.
    pub sent: usize,
    /// After how many it ends.
    pub most: usize,
}

impl Pace {
    /// A schedule that begins now: `most` pushes, one `every` so often.
    pub fn begin(
        server: SocketAddr,
        registry: &Registry,
        every: Duration,
        most: usize,
        pushes: Pushes,
    ) -> Result<Self> {
        let mut senders = Vec::with_capacity(SENDERS);
        for number in 0..SENDERS {
            let stream = std::net::TcpStream::connect(server).with_context(|| format!("no connection to {server}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            registry.register(&mut stream, Token(FIRST + number), Interest::READABLE)?;
            senders.push(stream);
        }
        Ok(Self { senders, pushes, every, next: Instant::now(), sent: 0, most })
    }

    /// Whether an event is one of the senders'.
    pub fn owns(token: Token) -> bool {
        token.0 >= FIRST
    }

    /// Whether something will be sent.
    pub fn goes_on(&self) -> bool {
        self.sent < self.most
    }

    /// Sends what is due; stamps count from `start`.
    pub fn send(&mut self, start: Instant) -> Result<()> {
        while self.goes_on() && Instant::now() >= self.next {
            let stamp = self.next.duration_since(start).as_nanos() as u64;
            let request = (self.pushes)(self.sent, stamp);
            let written = self.senders[self.sent % SENDERS].write(&request)?;
            ensure!(written == request.len(), "the server does not read pushes any more");
            self.sent += 1;
            self.next += self.every;
        }
        Ok(())
    }

    /// Reads the answers on one connection.
    pub fn hear(&mut self, token: Token, buffer: &mut [u8]) -> Result<()> {
        let goes_on = self.goes_on();
        let sender = &mut self.senders[token.0 - FIRST];
        loop {
            match sender.read(buffer) {
                Ok(0) if goes_on => bail!("the server ended a sender's connection"),
                Ok(0) => return Ok(()),
                Ok(read) => ensure!(
                    buffer[..read].starts_with(b"HTTP/1.1 200"),
                    "a push was answered {}",
                    String::from_utf8_lossy(&buffer[..read]).lines().next().unwrap_or_default()
                ),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
