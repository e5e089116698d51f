//! The main control of the benchmark: one thread with one poll loop. It answers upgrade and handshake requests with fixed bytes,
//! without parsing them. For each request to its internal listener, it writes one fixed frame to the audience.
//!
//! It requires that each request arrives in one piece, as the load generator writes it.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use notification_hub_tests::bench::control::{self, Frame, HANDSHAKE_RESPONSE, PING, PUSH_RESPONSE, UPGRADE_RESPONSE};
use notification_hub_tests::bench::push::Audience;

/// The poll token of the public listener.
const PUBLIC: Token = Token(usize::MAX - 2);

/// The poll token of the internal listener.
const INTERNAL: Token = Token(usize::MAX - 1);

/// The poll token of the first sender.
const FIRST_SENDER_TOKEN: usize = 1 << 32;

/// The second byte of a client's ping, its masked length, which distinguishes it from a handshake.
const CLIENT_PING: u8 = 0x83;

/// The number of groups of clients that are pinged one after the other in a ping interval.
const PING_GROUPS: usize = 150;

/// The command line.
struct Options {
    frame: Frame,
    ping: Option<Duration>,
}

/// The connected clients. Slots of closed connections are reused.
#[derive(Default)]
struct Clients {
    slots: Vec<Option<Client>>,
    free: Vec<usize>,
}

struct Client {
    stream: TcpStream,
    /// Whether its handshake is answered.
    open: bool,
}

fn main() -> Result<()> {
    let mut options = parse_options(std::env::args().skip(1))?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut public, mut internal) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut public, PUBLIC, Interest::READABLE)?;
    poll.registry().register(&mut internal, INTERNAL, Interest::READABLE)?;
    println!("{}", control::listening_line(public.local_addr()?, internal.local_addr()?));

    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut clients = Clients::default();
    let mut senders: Vec<TcpStream> = Vec::new();
    let mut pings =
        options.ping.map(|interval| Pings { interval: interval / PING_GROUPS as u32, next: Instant::now(), group: 0 });
    loop {
        let wait = pings.as_ref().map(|pings| pings.next.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                PUBLIC => accept(&public, |stream| clients.add(stream, poll.registry()))?,
                INTERNAL => accept(&internal, |mut stream| {
                    poll.registry().register(
                        &mut stream,
                        Token(FIRST_SENDER_TOKEN + senders.len()),
                        Interest::READABLE,
                    )?;
                    senders.push(stream);
                    Ok(())
                })?,
                Token(index) if index >= FIRST_SENDER_TOKEN => {
                    read_sender(
                        &mut senders[index - FIRST_SENDER_TOKEN],
                        &mut buffer,
                        &mut clients,
                        &mut options.frame,
                    )?;
                }
                Token(index) => clients.read(index, &mut buffer)?,
            }
        }
        if let Some(pings) = &mut pings {
            pings.send(&mut clients);
        }
    }
}

/// Reads push requests of a sender and writes the pushes.
fn read_sender(sender: &mut TcpStream, buffer: &mut [u8], clients: &mut Clients, frame: &mut Frame) -> Result<()> {
    let read = match sender.read(buffer) {
        Ok(read) => read,
        // No bytes have arrived, or the sender has closed the connection.
        Err(_) => return Ok(()),
    };
    let mut bytes = &buffer[..read];
    while let Some(request) = control::next_request(&mut bytes)? {
        frame.stamp(request.stamp);
        match request.audience {
            Audience::User(user) => clients.write(user, frame.bytes()),
            Audience::Everyone => (0..clients.slots.len()).for_each(|index| clients.write(index, frame.bytes())),
            group => (0..clients.slots.len())
                .filter(|index| group.contains(*index))
                .for_each(|index| clients.write(index, frame.bytes())),
        }
        sender.write_all(PUSH_RESPONSE).context("a response did not fit into the socket")?;
    }
    Ok(())
}

impl Clients {
    fn add(&mut self, mut stream: TcpStream, registry: &Registry) -> Result<()> {
        let index = self.free.pop().unwrap_or(self.slots.len());
        registry.register(&mut stream, Token(index), Interest::READABLE)?;
        let client = Some(Client { stream, open: false });
        match self.slots.get_mut(index) {
            Some(slot) => *slot = client,
            None => self.slots.push(client),
        }
        Ok(())
    }

    /// Reads from a client and answers its upgrade and its handshake.
    fn read(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(client) = &mut self.slots[index] else { return Ok(()) };
        let answer = match client.stream.read(buffer) {
            Ok(read) if read > 0 => match (buffer[0], buffer[1]) {
                (b'G', _) => UPGRADE_RESPONSE,
                (_, CLIENT_PING) => return Ok(()),
                _ => {
                    client.open = true;
                    HANDSHAKE_RESPONSE
                }
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            _ => {
                self.remove(index);
                return Ok(());
            }
        };
        client.stream.write_all(answer).context("a response did not fit into the socket")
    }

    /// Writes a frame to a connected client, and closes the connection if the frame does not fit into the socket.
    fn write(&mut self, index: usize, frame: &[u8]) {
        let Some(Some(client)) = self.slots.get_mut(index) else { return };
        if client.open && !client.stream.write(frame).is_ok_and(|written| written == frame.len()) {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        self.slots[index] = None;
        self.free.push(index);
    }
}

/// The schedule of pings.
struct Pings {
    /// The interval between two groups.
    interval: Duration,
    next: Instant,
    /// The number of the next group.
    group: usize,
}

impl Pings {
    fn send(&mut self, clients: &mut Clients) {
        while self.next <= Instant::now() {
            self.next += self.interval;
            (self.group..clients.slots.len()).step_by(PING_GROUPS).for_each(|index| clients.write(index, PING));
            self.group = (self.group + 1) % PING_GROUPS;
        }
    }
}

/// Accepts all waiting connections.
fn accept(listener: &TcpListener, mut on_accept: impl FnMut(TcpStream) -> Result<()>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                on_accept(stream)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn parse_options(arguments: impl Iterator<Item = String>) -> Result<Options> {
    let arguments: Vec<String> = arguments.collect();
    let mut options = Options { frame: Frame::new(2)?, ping: None };
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if name == "--frame" => options.frame = Frame::new(value.parse()?)?,
            [name, value] if name == "--ping" => options.ping = Some(Duration::from_millis(value.parse()?)),
            _ => bail!("usage: bare-epoll [--frame BYTES] [--ping MILLISECONDS]"),
        }
    }
    Ok(options)
}
