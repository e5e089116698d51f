//! Accepts connections on the public port.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::observability::LogLimiter;

/// The token of the events that announce waiting connections.
pub(crate) const LISTENER_TOKEN: Token = Token(usize::MAX - 1);

/// The most connections that are accepted per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// How long accepting pauses when no file descriptor is left.
const EMFILE_BACKOFF: Duration = Duration::from_millis(100);

/// The listening socket.
pub(crate) struct Acceptor {
    listener: TcpListener,
    /// Whether connections may be waiting: events are edge-triggered.
    pub(crate) ready: bool,
    pause_until: Option<Instant>,
    log_limiter: LogLimiter,
}

impl Acceptor {
    /// Takes over a listening socket.
    pub(crate) fn new(listener: std::net::TcpListener, registry: &Registry) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, LISTENER_TOKEN, Interest::READABLE)?;
        Ok(Acceptor { listener, ready: true, pause_until: None, log_limiter: LogLimiter::default() })
    }

    /// Returns how long the poll may wait because of the listener, `None` if there is no bound.
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        match self.pause_until {
            Some(until) => Some(until.saturating_duration_since(Instant::now())),
            None => self.ready.then_some(Duration::ZERO),
        }
    }

    /// Accepts waiting connections, up to the budget of a turn, while less than `max_sockets` are open. `open` is their number.
    pub(crate) fn accept(&mut self, mut open: usize, max_sockets: usize, mut on_accept: impl FnMut(TcpStream, IpAddr)) {
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.pause_until = (open >= max_sockets).then(|| Instant::now() + EMFILE_BACKOFF);
        for _ in 0..ACCEPTS_PER_TURN {
            if !self.ready {
                return;
            }
            if open >= max_sockets {
                return;
            }
            match self.listener.accept() {
                Ok((socket, peer)) => {
                    open += 1;
                    // An IPv4 client of a port that is IPv6, too, has a mapped address.
                    on_accept(socket, peer.ip().to_canonical());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                // A client that hung up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.pause_until = Some(Instant::now() + EMFILE_BACKOFF);
                    if let Some(suppressed) = self.log_limiter.allow() {
                        tracing::warn!(%error, suppressed, "connection cannot be accepted; check the limit of open files (ulimit -n)");
                    }
                    return;
                }
            }
        }
    }
}
