//! The load generator: thousands of clients in one epoll loop on one thread, one read buffer for all of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::client::{Client, HANDSHAKE, Phase};

/// How many connections may be on their way to being open at once.
const IN_FLIGHT: usize = 128;

/// How long nothing may happen while something is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of one source address; a few for each, so that ports last for many runs.
const PER_SOURCE: usize = 500;

/// What makes the upgrade request of client `index`.
pub type Requests<'a> = &'a dyn Fn(usize) -> Result<String>;

/// The clients of one server.
pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
    clients: Vec<(TcpStream, Client)>,
    open: usize,
    deliveries: u64,
    bytes: u64,
}

impl Load {
    /// No client yet.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 64 * 1024],
            server,
            clients: Vec::new(),
            open: 0,
            deliveries: 0,
            bytes: 0,
        })
    }

    /// How many clients are connected.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The mean bytes of a delivery on the wire.
    pub fn bytes_per_delivery(&self) -> f64 {
        self.bytes as f64 / self.deliveries.max(1) as f64
    }

    /// Connects until `count` clients are connected.
    pub fn grow(&mut self, count: usize, requests: Requests<'_>) -> Result<()> {
        while self.open < count {
            while self.clients.len() < count && self.clients.len() - self.open < IN_FLIGHT {
                self.connect()?;
            }
            let open = self.open;
            self.turn(requests, |load| load.open > open)
                .with_context(|| format!("{} of {count} clients connected", self.open))?;
        }
        Ok(())
    }

    /// Waits until every client has received exactly `each` pushes since the last [`Self::restart`].
    pub fn receive(&mut self, each: u32) -> Result<()> {
        let goal = u64::from(each) * self.clients.len() as u64;
        while self.deliveries < goal {
            let before = self.deliveries;
            self.turn(&|_| bail!("no client connects now"), |load| load.deliveries > before)
                .with_context(|| format!("{} of {goal} deliveries arrived", self.deliveries))?;
        }
        match self.clients.iter().position(|(_, client)| client.deliveries != each) {
            None => Ok(()),
            Some(index) => bail!("client {index} got {} pushes instead of {each}", self.clients[index].1.deliveries),
        }
    }

    /// Counts deliveries from nought again.
    pub fn restart(&mut self) {
        self.deliveries = 0;
        self.bytes = 0;
        for (_, client) in &mut self.clients {
            client.deliveries = 0;
        }
    }

    fn connect(&mut self) -> Result<()> {
        let index = self.clients.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::from((source(index), 0)).into())?;
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error).context("cannot connect");
            }
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest)?;
        self.clients.push((stream, Client::default()));
        Ok(())
    }

    /// Handles events until `done`.
    fn turn(&mut self, requests: Requests<'_>, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let result = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Err(anyhow::anyhow!("nothing happened for {PATIENCE:?}"));
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => break Err(error.into()),
                Ok(()) => {}
            }
            let handled = events.iter().try_for_each(|event| self.event(event, requests));
            if handled.is_err() || done(self) {
                break handled;
            }
        };
        self.events = events;
        result
    }

    fn event(&mut self, event: &mio::event::Event, requests: Requests<'_>) -> Result<()> {
        let index = event.token().0;
        let (stream, client) = &mut self.clients[index];
        if event.is_writable() && client.phase() == Phase::Connecting {
            let request = requests(index)?;
            write(stream, request.as_bytes()).with_context(|| format!("client {index}: no connection"))?;
            client.requested();
        }
        if !event.is_readable() {
            return Ok(());
        }
        loop {
            let read = match stream.read(&mut self.buffer) {
                Ok(0) => bail!("client {index}: the server ended the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("client {index}")),
            };
            let progress = client.take(&self.buffer[..read]).with_context(|| format!("client {index}"))?;
            if progress.upgraded {
                write(stream, HANDSHAKE)?;
            }
            self.open += usize::from(progress.opened);
            self.deliveries += u64::from(progress.deliveries);
            self.bytes += progress.bytes;
            if read < self.buffer.len() {
                return Ok(());
            }
        }
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let written = stream.write(bytes)?;
    if written < bytes.len() {
        bail!("{written} of {} bytes fitted", bytes.len());
    }
    Ok(())
}

/// Source addresses 127.0.0.2 and on.
fn source(index: usize) -> Ipv4Addr {
    let number = index / PER_SOURCE + 2;
    Ipv4Addr::new(127, 0, (number / 254) as u8, (number % 254 + 1) as u8)
}
