//! PushRequests at fixed times, whether or not earlier pushes are delivered, so that the delay of a slow server counts.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// The number of connections that are used in turn, so that a push need not wait for the response to the push before it.
const SENDER_CONNECTIONS: usize = 8;

/// The poll token of the first sender connection.
const FIRST_SENDER_TOKEN: usize = 1 << 32;

/// Returns the request of a push by its number and its stamp.
pub type PushRequests = Box<dyn Fn(usize, u64) -> Vec<u8>>;

/// A schedule of pushes with its sender connections.
pub struct PushSchedule {
    senders: Vec<TcpStream>,
    requests: PushRequests,
    interval: Duration,
    next: Instant,
    /// The number of pushes that were sent.
    pub sent: usize,
    /// The number of pushes after which the schedule ends.
    pub limit: usize,
}

impl PushSchedule {
    /// Starts a schedule of `limit` pushes, one in each interval, to the internal address `server`.
    pub fn start(
        server: SocketAddr,
        registry: &Registry,
        interval: Duration,
        limit: usize,
        requests: PushRequests,
    ) -> Result<Self> {
        let mut senders = Vec::with_capacity(SENDER_CONNECTIONS);
        for number in 0..SENDER_CONNECTIONS {
            let stream = std::net::TcpStream::connect(server).with_context(|| format!("no connection to {server}"))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            registry.register(&mut stream, Token(FIRST_SENDER_TOKEN + number), Interest::READABLE)?;
            senders.push(stream);
        }
        Ok(Self { senders, requests, interval, next: Instant::now(), sent: 0, limit })
    }

    /// Returns whether a poll token is that of a sender connection.
    pub fn is_sender(token: Token) -> bool {
        token.0 >= FIRST_SENDER_TOKEN
    }

    /// Returns whether pushes are left to be sent.
    pub fn is_active(&self) -> bool {
        self.sent < self.limit
    }

    /// Sends the pushes that are due. A stamp is the time from `start` to its due time, in nanoseconds.
    pub fn send_due(&mut self, start: Instant) -> Result<()> {
        while self.is_active() && Instant::now() >= self.next {
            let stamp = self.next.duration_since(start).as_nanos() as u64;
            let request = (self.requests)(self.sent, stamp);
            let written = self.senders[self.sent % SENDER_CONNECTIONS].write(&request)?;
            ensure!(written == request.len(), "the server does not read push requests any more");
            self.sent += 1;
            self.next += self.interval;
        }
        Ok(())
    }

    /// Reads the responses on one connection, and fails unless each has status 200.
    pub fn on_readable(&mut self, token: Token, buffer: &mut [u8]) -> Result<()> {
        let is_active = self.is_active();
        let sender = &mut self.senders[token.0 - FIRST_SENDER_TOKEN];
        loop {
            match sender.read(buffer) {
                Ok(0) if is_active => bail!("the server closed a sender's connection"),
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
