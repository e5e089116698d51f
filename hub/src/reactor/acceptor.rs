//! Accepts connections on the public port.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::telemetry::LogLimiter;

/// The token of the events that say that clients wait.
pub(super) const LISTENER_TOKEN: Token = Token(usize::MAX - 1);

/// How many connections are accepted before everything else has its turn.
const ACCEPTS_PER_TURN: usize = 64;

/// Of so many sockets one is kept for those who are no clients yet, or no longer.
const TRANSIENT_SHARE: usize = 8;

/// How long to wait before trying again when the system has no descriptor left.
const EMFILE_BACKOFF: Duration = Duration::from_millis(100);

/// The listening socket.
pub(super) struct Acceptor {
    listener: TcpListener,
    /// Clients may be waiting: events come only once.
    pub(super) ready: bool,
    pause_until: Option<Instant>,
    log_limiter: LogLimiter,
    /// How many sockets there may be, by the limit of open files.
    max_sockets: usize,
}

impl Acceptor {
    /// Takes over a listening socket.
    pub(super) fn new(
        listener: std::net::TcpListener,
        registry: &Registry,
        max_sockets: usize,
    ) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, LISTENER_TOKEN, Interest::READABLE)?;
        Ok(Acceptor { listener, ready: true, pause_until: None, log_limiter: LogLimiter::default(), max_sockets })
    }

    /// How many sockets there may be.
    pub(super) fn max_sockets(&self) -> usize {
        self.max_sockets
    }

    /// How many of them may be clients: the rest is for those who come and go.
    pub(super) fn max_connections(&self) -> usize {
        self.max_sockets - self.max_sockets / TRANSIENT_SHARE
    }

    /// Says what to raise.
    pub(super) fn warn_at_capacity(&self) {
        if let Some(unsaid) = self.log_limiter.allow() {
            let most = self.max_sockets;
            tracing::warn!(
                most,
                unsaid,
                "there is no room for more connections: raise the limit of open files (ulimit -n)"
            );
        }
    }

    /// How long the loop may wait because of this; nothing if any time is fine.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        match self.pause_until {
            Some(until) => Some(until.saturating_duration_since(Instant::now())),
            None => self.ready.then_some(Duration::ZERO),
        }
    }

    /// Accepts what waits, up to the budget of a turn. `open`: how many sockets there are already.
    pub(super) fn accept(&mut self, mut open: usize, mut on_accept: impl FnMut(TcpStream, IpAddr)) {
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.pause_until = (open >= self.max_sockets).then(|| Instant::now() + EMFILE_BACKOFF);
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.ready {
                return;
            }
            if open >= self.max_sockets {
                return;
            }
            match self.listener.accept() {
                Ok((socket, peer)) => {
                    open += 1;
                    on_accept(socket, peer.ip());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                // A client that hung up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.pause_until = Some(Instant::now() + EMFILE_BACKOFF);
                    if let Some(unsaid) = self.log_limiter.allow() {
                        tracing::warn!(%error, unsaid, "no connection can be accepted; is the limit of open files (ulimit -n) high enough?");
                    }
                    return;
                }
            }
        }
    }
}
