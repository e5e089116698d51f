//! The load generator: thousands of clients in one poll loop on one thread, with one read buffer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use super::client::{Client, HANDSHAKE, PING, Phase, Progress};
use super::push_schedule::{PushRequests, PushSchedule};

/// The segment size of a stalled client. Small segments and buffers keep the kernel from buffering many unread bytes.
const SMALL_SEGMENT_BYTES: u32 = 536;

/// The receive buffer of a stalled client.
const SMALL_BUFFER_BYTES: usize = 4096;

/// The maximum time without progress.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);

/// The number of connections of one source address. It is small, so that the ports suffice for many runs.
const CONNECTIONS_PER_SOURCE: usize = 500;

/// The number of groups of clients that ping one after the other in a ping interval.
const PING_GROUPS: usize = 50;

/// Returns the upgrade request of a client by its number.
pub type UpgradeRequests<'a> = &'a dyn Fn(usize) -> Result<String>;

/// How the clients behave.
#[derive(Clone, Copy)]
pub struct ClientBehavior {
    /// The maximum number of clients that are connecting.
    pub max_connecting: usize,
    /// Whether a client answers a ping of the server with a ping.
    pub answers_pings: bool,
    /// The interval of a client's own pings, or `None` for none.
    pub ping_interval: Option<Duration>,
    /// Returns whether a client, by its number, reads nothing after it is connected, until [`Load::resume`].
    pub is_stalled: fn(usize) -> bool,
    /// Whether the server may close connections, which is counted instead of an error.
    pub allows_losses: bool,
}

impl Default for ClientBehavior {
    fn default() -> Self {
        Self {
            max_connecting: 128,
            answers_pings: false,
            ping_interval: None,
            is_stalled: |_| false,
            allows_losses: false,
        }
    }
}

/// The clients of one server.
pub struct Load {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    server: SocketAddr,
    behavior: ClientBehavior,
    clients: Vec<(TcpStream, Client)>,
    open: usize,
    counts: Counts,
    start: Instant,
    schedule: Option<PushSchedule>,
    /// When the next group of clients pings, and its number.
    next_ping: (Instant, usize),
}

/// The counts since the last [`Load::reset_counts`].
#[derive(Debug, Default)]
pub struct Counts {
    /// The number of received pushes.
    pub deliveries: u64,
    /// The bytes of these pushes on the wire.
    pub bytes: u64,
    /// The number of received pings.
    pub pings: u64,
    /// The number of clients whose connection the server closed.
    pub lost: usize,
    /// For each push with a stamp, the nanoseconds from its due time to its delivery.
    pub latencies: Vec<u64>,
}

impl Load {
    /// Creates a load generator without clients.
    pub fn new(server: SocketAddr) -> Result<Self> {
        Self::with_behavior(server, ClientBehavior::default())
    }

    /// Creates a load generator without clients, whose clients will behave like this.
    pub fn with_behavior(server: SocketAddr, behavior: ClientBehavior) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            buffer: vec![0; 64 * 1024],
            server,
            behavior,
            clients: Vec::new(),
            open: 0,
            counts: Counts::default(),
            start: Instant::now(),
            schedule: None,
            next_ping: (Instant::now(), 0),
        })
    }

    /// Returns the counts since the last [`Self::reset_counts`].
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the number of connected clients.
    pub fn open(&self) -> usize {
        self.open
    }

    /// Returns the mean number of bytes of a delivery on the wire.
    pub fn bytes_per_delivery(&self) -> f64 {
        self.counts.bytes as f64 / self.counts.deliveries.max(1) as f64
    }

    /// Connects clients until `count` are connected.
    pub fn grow(&mut self, count: usize, requests: UpgradeRequests<'_>) -> Result<()> {
        while self.open < count {
            while self.clients.len() < count && self.clients.len() - self.open < self.behavior.max_connecting {
                self.connect()?;
            }
            let open = self.open;
            self.poll_until(requests, |load| load.open > open)
                .with_context(|| format!("{} of {count} clients connected", self.open))?;
        }
        Ok(())
    }

    /// Returns the number of clients that are not stalled.
    pub fn readers(&self) -> usize {
        (0..self.clients.len()).filter(|index| !(self.behavior.is_stalled)(*index)).count()
    }

    /// Waits until every client that is not stalled has received exactly `each` pushes since the last [`Self::reset_counts`].
    pub fn wait_each(&mut self, each: u32) -> Result<()> {
        self.wait_deliveries(u64::from(each) * self.readers() as u64)?;
        let is_stalled = self.behavior.is_stalled;
        let is_wrong = |(index, client): (usize, &Client)| client.deliveries != each && !is_stalled(index);
        match self.clients.iter().map(|(_, client)| client).enumerate().position(is_wrong) {
            None => Ok(()),
            Some(index) => bail!("client {index} got {} pushes instead of {each}", self.clients[index].1.deliveries),
        }
    }

    /// Waits until all clients together have received `goal` pushes since the last [`Self::reset_counts`].
    pub fn wait_deliveries(&mut self, goal: u64) -> Result<()> {
        while self.counts.deliveries < goal {
            let before = self.counts.deliveries;
            self.poll_until(&no_requests, |load| load.counts.deliveries > before)
                .with_context(|| format!("{} of {goal} deliveries arrived", self.counts.deliveries))?;
        }
        Ok(())
    }

    /// Handles events for a duration.
    pub fn run(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.poll_once(left.max(Duration::from_millis(1)), &no_requests)?;
        }
        Ok(())
    }

    /// Resets the counts to 0.
    pub fn reset_counts(&mut self) {
        self.counts = Counts::default();
        for (_, client) in &mut self.clients {
            client.deliveries = 0;
        }
    }

    /// Starts to send at most `limit` pushes to the internal address `server`, one in each interval.
    pub fn start_schedule(
        &mut self,
        server: SocketAddr,
        interval: Duration,
        limit: usize,
        requests: PushRequests,
    ) -> Result<()> {
        self.schedule = Some(PushSchedule::start(server, self.poll.registry(), interval, limit, requests)?);
        Ok(())
    }

    /// Handles events until all scheduled pushes are sent.
    pub fn run_schedule(&mut self) -> Result<()> {
        while self.schedule.as_ref().is_some_and(PushSchedule::is_active) {
            self.poll_once(Duration::ZERO, &no_requests)?;
        }
        Ok(())
    }

    /// Stops the schedule and returns the number of pushes that it sent.
    pub fn stop_schedule(&mut self) -> usize {
        let Some(schedule) = &mut self.schedule else { return 0 };
        schedule.limit = schedule.sent;
        schedule.sent
    }

    /// Makes stalled clients read from now on.
    pub fn resume(&mut self) -> Result<()> {
        self.behavior.is_stalled = |_| false;
        // Readiness of waiting bytes was reported before, and will not be reported again.
        (0..self.clients.len()).try_for_each(|index| self.read(index))
    }

    fn connect(&mut self) -> Result<()> {
        let index = self.clients.len();
        let socket = client_socket(index)?;
        if (self.behavior.is_stalled)(index) {
            socket.set_tcp_mss(SMALL_SEGMENT_BYTES)?;
            socket.set_recv_buffer_size(SMALL_BUFFER_BYTES)?;
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

    /// Handles events until `done` returns `true`.
    fn poll_until(&mut self, requests: UpgradeRequests<'_>, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PROGRESS_TIMEOUT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no progress for {PROGRESS_TIMEOUT:?}");
            }
            self.poll_once(left, requests)?;
            if done(self) {
                return Ok(());
            }
        }
    }

    /// Polls once, at most for `timeout`, and handles the events.
    fn poll_once(&mut self, timeout: Duration, requests: UpgradeRequests<'_>) -> Result<()> {
        // The timeout of epoll is in milliseconds, which is too coarse for a schedule.
        let wait = if self.schedule.as_ref().is_some_and(PushSchedule::is_active) { Duration::ZERO } else { timeout };
        let wait = self.behavior.ping_interval.map_or(wait, |interval| wait.min(interval / PING_GROUPS as u32));
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            other => other.map_err(anyhow::Error::from),
        };
        let handled = polled.and_then(|()| self.send_due()).and_then(|()| {
            events.iter().try_for_each(|event| {
                self.on_event(event, requests)?;
                self.send_due()
            })
        });
        self.events = events;
        handled
    }

    /// Sends the pings and pushes that are due.
    fn send_due(&mut self) -> Result<()> {
        if let Some(interval) = self.behavior.ping_interval
            && self.next_ping.0 <= Instant::now()
        {
            let (due, group) = self.next_ping;
            for (stream, client) in self.clients.iter_mut().skip(group).step_by(PING_GROUPS) {
                if client.phase() == Phase::Open && write(stream, PING).is_err() && !self.behavior.allows_losses {
                    bail!("a ping could not be written");
                }
            }
            self.next_ping = (due + interval / PING_GROUPS as u32, (group + 1) % PING_GROUPS);
        }
        let start = self.start;
        self.schedule.as_mut().map_or(Ok(()), |schedule| schedule.send_due(start))
    }

    fn on_event(&mut self, event: &mio::event::Event, requests: UpgradeRequests<'_>) -> Result<()> {
        if PushSchedule::is_sender(event.token()) {
            let Some(schedule) = &mut self.schedule else { return Ok(()) };
            return schedule.on_readable(event.token(), &mut self.buffer);
        }
        let index = event.token().0;
        let Some((stream, client)) = self.clients.get_mut(index) else { return Ok(()) };
        if event.is_writable() && client.phase() == Phase::Connecting {
            let request = requests(index)?;
            write(stream, request.as_bytes()).with_context(|| format!("client {index}: no connection"))?;
            client.on_request_sent();
        }
        if event.is_readable() { self.read(index) } else { Ok(()) }
    }

    /// Reads the bytes that have arrived for a client.
    fn read(&mut self, index: usize) -> Result<()> {
        let (stream, client) = &mut self.clients[index];
        loop {
            match client.phase() {
                Phase::Open if (self.behavior.is_stalled)(index) => return Ok(()),
                Phase::Lost => return Ok(()),
                _ => {}
            }
            let read = match stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                other => other,
            };
            let emptied = read.as_ref().is_ok_and(|count| *count < self.buffer.len());
            let open = client.phase() == Phase::Open;
            let progress = match on_read(client, read, &self.buffer) {
                Err(_) if open && self.behavior.allows_losses => {
                    client.on_closed();
                    self.counts.lost += 1;
                    return Ok(());
                }
                other => other.with_context(|| format!("client {index}"))?,
            };
            if progress.upgraded {
                write(stream, HANDSHAKE)?;
            }
            if self.behavior.answers_pings {
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

fn on_read(client: &mut Client, read: io::Result<usize>, buffer: &[u8]) -> Result<Progress> {
    match read? {
        0 => bail!("the server closed the connection"),
        read => client.on_data(&buffer[..read]),
    }
}

fn no_requests(_: usize) -> Result<String> {
    bail!("no client must connect now")
}

/// Creates the socket of a client, bound to its source address.
pub fn client_socket(index: usize) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((source_address(index), 0)).into())?;
    Ok(socket)
}

fn write(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    let written = stream.write(bytes)?;
    if written < bytes.len() {
        bail!("only {written} of {} bytes were written", bytes.len());
    }
    Ok(())
}

/// Returns the source address of a client, from 127.0.0.2 on.
fn source_address(index: usize) -> Ipv4Addr {
    let number = index / CONNECTIONS_PER_SOURCE + 2;
    Ipv4Addr::new(127, 0, (number / 254) as u8, (number % 254 + 1) as u8)
}
