//! Accepts connections on the public port.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::telemetry::Seldom;

/// The token of the events that say that clients wait.
pub(super) const LISTEN: Token = Token(usize::MAX - 1);

/// How many connections are accepted before everything else has its turn.
const BUDGET: usize = 64;

/// Of so many sockets one is kept for those who are no clients yet, or no longer.
const COMING_AND_GOING: usize = 8;

/// How long to wait before trying again when the system has no descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The listening socket.
pub(super) struct Acceptor {
    listener: TcpListener,
    /// Clients may be waiting: events come only once.
    pub(super) ready: bool,
    pause_until: Option<Instant>,
    seldom: Seldom,
    /// How many sockets there may be, by the limit of open files.
    most: usize,
}

impl Acceptor {
    /// Takes over a listening socket.
    pub(super) fn new(listener: std::net::TcpListener, registry: &Registry, most: usize) -> io::Result<Acceptor> {
        listener.set_nonblocking(true)?;
        let mut listener = TcpListener::from_std(listener);
        registry.register(&mut listener, LISTEN, Interest::READABLE)?;
        Ok(Acceptor { listener, ready: true, pause_until: None, seldom: Seldom::default(), most })
    }

    /// How many sockets there may be.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// How many of them may be clients: the rest is for those who come and go.
    pub(super) fn most_clients(&self) -> usize {
        self.most - self.most / COMING_AND_GOING
    }

    /// Says what to raise.
    pub(super) fn complain(&self) {
        if let Some(unsaid) = self.seldom.say() {
            let most = self.most;
            tracing::warn!(
                most,
                unsaid,
                "there is no room for more connections: raise the limit of open files (ulimit -n)"
            );
        }
    }

    /// How long the loop may wait because of this; nothing if any time is fine.
    pub(super) fn patience(&self) -> Option<Duration> {
        match self.pause_until {
            Some(until) => Some(until.saturating_duration_since(Instant::now())),
            None => self.ready.then_some(Duration::ZERO),
        }
    }

    /// Accepts what waits, up to the budget of a turn. `open`: how many sockets there are already.
    pub(super) fn accept(&mut self, mut open: usize, mut take: impl FnMut(TcpStream, IpAddr)) {
        if self.pause_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.pause_until = (open >= self.most).then(|| Instant::now() + EXHAUSTED);
        for _ in 0..BUDGET {
            if !self.ready {
                return;
            }
            if open >= self.most {
                return;
            }
            match self.listener.accept() {
                Ok((socket, peer)) => {
                    open += 1;
                    take(socket, peer.ip());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
                // A client that hung up before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.pause_until = Some(Instant::now() + EXHAUSTED);
                    if let Some(unsaid) = self.seldom.say() {
                        tracing::warn!(%error, unsaid, "no connection can be accepted; is the limit of open files (ulimit -n) high enough?");
                    }
                    return;
                }
            }
        }
    }
}
