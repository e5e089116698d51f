//! The load generator: thousands of clients in one epoll loop on one thread, one read buffer for all of them.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::client::{Client, HANDSHAKE, PING, Phase, Progress};
use super::pace::{Pace, Pushes};

/// Segment and buffer of a client that stalls: small, so that little of what it does not read fits into the kernel.
const SMALL_SEGMENT: u32 = 536;
const SMALL_BUFFER: usize = 4096;

/// How long nothing may happen while something is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of one source address; a few for each, so that ports last for many runs.
const PER_SOURCE: usize = 500;

/// How many shares of the clients ping one after the other.
const BEATS: usize = 50;

/// What makes the upgrade request of client `index`.
pub type Requests<'a> = &'a dyn Fn(usize) -> Result<String>;

/// How the clients behave.
#[derive(Clone, Copy)]
pub struct Manner {
    /// How many connections may be on their way to being open at once.
    pub in_flight: usize,
    /// Whether a ping of the server is answered with one.
    pub pings: bool,
    /// How often a client pings whatever the server does, as those in life do.
    pub pulse: Option<Duration>,
    /// Which clients read nothing once they are connected, until [`Load::resume`].
    pub stalls: fn(usize) -> bool,
    /// Whether the server may let go of clients: they are counted.
    pub losses: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { in_flight: 128, pings: false, pulse: None, stalls: |_| false, losses: false }
    }
}

/// The clients of one server.
pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
    manner: Manner,
    clients: Vec<(TcpStream, Client)>,
    open: usize,
    counts: Counts,
    start: Instant,
    pace: Option<Pace>,
    /// When the next share of the clients pings, and which.
    beat: (Instant, usize),
}

/// What was counted since the last [`Load::restart`].
#[derive(Debug, Default)]
pub struct Counts {
    /// Pushes received.
    pub deliveries: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Pings received.
    pub pings: u64,
    /// Clients that the server let go of.
    pub lost: usize,
    /// Nanoseconds from when a push was due to its arrival, of each that has a stamp.
    pub latencies: Vec<u64>,
}

impl Load {
    /// No client yet.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Self::with(server, Manner::default())
    }

    /// No client yet; these manners.
    pub fn with(server: SocketAddr, manner: Manner) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 64 * 1024],
            server,
            manner,
            clients: Vec::new(),
            open: 0,
            counts: Counts::default(),
            start: Instant::now(),
            pace: None,
            beat: (Instant::now(), 0),
        })
    }

    /// What was counted since the last [`Self::restart`].
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many clients are connected.
    pub fn open(&self) -> usize {
        self.open
    }

    /// The mean bytes of a delivery on the wire.
    pub fn bytes_per_delivery(&self) -> f64 {
        self.counts.bytes as f64 / self.counts.deliveries.max(1) as f64
    }

    /// Connects until `count` clients are connected.
    pub fn grow(&mut self, count: usize, requests: Requests<'_>) -> Result<()> {
        while self.open < count {
            while self.clients.len() < count && self.clients.len() - self.open < self.manner.in_flight {
                self.connect()?;
            }
            let open = self.open;
            self.turn(requests, |load| load.open > open)
                .with_context(|| format!("{} of {count} clients connected", self.open))?;
        }
        Ok(())
    }

    /// How many clients read what they are sent.
    pub fn readers(&self) -> usize {
        (0..self.clients.len()).filter(|index| !(self.manner.stalls)(*index)).count()
    }

    /// Waits until every client that reads has received exactly `each` pushes since the last [`Self::restart`].
    pub fn receive(&mut self, each: u32) -> Result<()> {
        self.arrive(u64::from(each) * self.readers() as u64)?;
        let stalls = self.manner.stalls;
        let odd = |(index, client): (usize, &Client)| client.deliveries != each && !stalls(index);
        match self.clients.iter().map(|(_, client)| client).enumerate().position(odd) {
            None => Ok(()),
            Some(index) => bail!("client {index} got {} pushes instead of {each}", self.clients[index].1.deliveries),
        }
    }

    /// Waits until so many pushes have arrived since the last [`Self::restart`], of all clients together.
    pub fn arrive(&mut self, goal: u64) -> Result<()> {
        while self.counts.deliveries < goal {
            let before = self.counts.deliveries;
            self.turn(&nobody, |load| load.counts.deliveries > before)
                .with_context(|| format!("{} of {goal} deliveries arrived", self.counts.deliveries))?;
        }
        Ok(())
    }

    /// Goes on for so long, whatever happens.
    pub fn run(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll_once(left.max(Duration::from_millis(1)), &nobody)?;
        }
        Ok(())
    }

    /// Counts from nought again.
    pub fn restart(&mut self) {
        self.counts = Counts::default();
        for (_, client) in &mut self.clients {
            client.deliveries = 0;
        }
    }

    /// From now on pushes are sent to `server`, one `every` so often and `most` of them.
    pub fn pace(&mut self, server: SocketAddr, every: Duration, most: usize, pushes: Pushes) -> Result<()> {
        self.pace = Some(Pace::begin(server, self.poll.registry(), every, most, pushes)?);
        Ok(())
    }

    /// Goes on until all paced pushes are sent.
    pub fn keep_pace(&mut self) -> Result<()> {
        while self.pace.as_ref().is_some_and(Pace::goes_on) {
            self.poll_once(Duration::ZERO, &nobody)?;
        }
        Ok(())
    }

    /// Sends no more paced pushes; says how many were sent.
    pub fn end_pace(&mut self) -> usize {
        let Some(pace) = &mut self.pace else { return 0 };
        pace.most = pace.sent;
        pace.sent
    }

    /// Clients that stalled read from now on.
    pub fn resume(&mut self) -> Result<()> {
        self.manner.stalls = |_| false;
        // What waits was announced long ago.
        (0..self.clients.len()).try_for_each(|index| self.read(index))
    }

    fn connect(&mut self) -> Result<()> {
        let index = self.clients.len();
        let socket = socket(index)?;
        if (self.manner.stalls)(index) {
            socket.set_tcp_mss(SMALL_SEGMENT)?;
            socket.set_recv_buffer_size(SMALL_BUFFER)?;
        }
        socket.set_nonblocking(true)?;
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
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("nothing happened for {PATIENCE:?}");
            }
            self.poll_once(left, requests)?;
            if done(self) {
                return Ok(());
            }
        }
    }

    /// Handles the events that there are, or waits for some.
    fn poll_once(&mut self, most: Duration, requests: Requests<'_>) -> Result<()> {
        // The kernel waits in milliseconds, which is too coarse for a schedule.
        let wait = if self.pace.as_ref().is_some_and(Pace::goes_on) { Duration::ZERO } else { most };
        let wait = self.manner.pulse.map_or(wait, |pulse| wait.min(pulse / BEATS as u32));
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other.map_err(anyhow::Error::from),
        };
        let handled = polled.and_then(|()| self.keep_up()).and_then(|()| {
            events.iter().try_for_each(|event| {
                self.event(event, requests)?;
                self.keep_up()
            })
        });
        self.events = events;
        handled
    }

    /// Sends the pings and pushes that are due.
    fn keep_up(&mut self) -> Result<()> {
        if let Some(pulse) = self.manner.pulse
            && self.beat.0 <= Instant::now()
        {
            let (due, turn) = self.beat;
            for (stream, client) in self.clients.iter_mut().skip(turn).step_by(BEATS) {
                if client.phase() == Phase::Open && write(stream, PING).is_err() && !self.manner.losses {
                    bail!("a ping was not taken");
                }
            }
            self.beat = (due + pulse / BEATS as u32, (turn + 1) % BEATS);
        }
        let start = self.start;
        self.pace.as_mut().map_or(Ok(()), |pace| pace.send(start))
    }

    fn event(&mut self, event: &mio::event::Event, requests: Requests<'_>) -> Result<()> {
        if Pace::owns(event.token()) {
            let Some(pace) = &mut self.pace else { return Ok(()) };
            return pace.hear(event.token(), &mut self.buffer);
        }
        let index = event.token().0;
        let Some((stream, client)) = self.clients.get_mut(index) else { return Ok(()) };
        if event.is_writable() && client.phase() == Phase::Connecting {
            let request = requests(index)?;
            write(stream, request.as_bytes()).with_context(|| format!("client {index}: no connection"))?;
            client.requested();
        }
        if event.is_readable() { self.read(index) } else { Ok(()) }
    }

    /// Reads what a client has been sent.
    fn read(&mut self, index: usize) -> Result<()> {
        let (stream, client) = &mut self.clients[index];
        loop {
            match client.phase() {
                Phase::Open if (self.manner.stalls)(index) => return Ok(()),
                Phase::Lost => return Ok(()),
                _ => {}
            }
            let read = match stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                other => other,
            };
            let emptied = read.as_ref().is_ok_and(|count| *count < self.buffer.len());
            let open = client.phase() == Phase::Open;
            let progress = match taken(client, read, &self.buffer) {
                Err(_) if open && self.manner.losses => {
                    client.lose();
                    self.counts.lost += 1;
                    return Ok(());
                }
                other => other.with_context(|| format!("client {index}"))?,
            };
            if progress.upgraded {
                write(stream, HANDSHAKE)?;
            }
            if self.manner.pings {
                (0..progress.pings).try_for_each(|_| write(stream, PING))?;
            }
            self.open += usize::from(progress.opened);
            self.counts.deliveries += u64::from(progress.deliveries);
            self.counts.bytes += progress.bytes;
            self.counts.pings += u64::from(progress.pings);
            if !progress.stamps.is_empty() {
                let now = self.start.elapsed().as_nanos() as u64;
                self.counts.latencies.extend(progress.stamps.iter().map(|stamp| now.saturating_sub(*stamp)));
            }
            if emptied {
                return Ok(());
            }
        }
    }
}

fn taken(client: &mut Client, read: io::Result<usize>, buffer: &[u8]) -> Result<Progress> {
    match read? {
        0 => bail!("the server ended the connection"),
        read => client.take(&buffer[..read]),
    }
}

fn nobody(_: usize) -> Result<String> {
    bail!("no client connects now")
}

/// A socket that client `index` connects with.
pub fn socket(index: usize) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((source(index), 0)).into())?;
    Ok(socket)
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
