//! The control of the benchmark: one thread, one epoll, no hub. It answers the upgrade and the handshake with fixed bytes,
//! without reading what they say, and on each request to its internal listener writes one fixed frame to those that it is for.
//!
//! Requests are taken to come in one piece, as the load generator writes them.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};
use notification_hub_tests::bench::control::{self, DONE, Frame, HANDSHAKE, PING, UPGRADE};
use notification_hub_tests::bench::push::Audience;

const PUBLIC: Token = Token(usize::MAX - 2);
const INTERNAL: Token = Token(usize::MAX - 1);
/// Tokens from here on are those of senders.
const SENDERS: usize = 1 << 32;

/// The third byte of a client's ping tells it from a handshake: its frame's length, masked.
const CLIENT_PING: u8 = 0x83;

/// How many turns the pings of one interval are spread over.
const TURNS: usize = 150;

struct Options {
    frame: Frame,
    ping: Option<Duration>,
}

/// Who is connected; places of those that left are taken again.
#[derive(Default)]
struct Clients {
    places: Vec<Option<Client>>,
    free: Vec<usize>,
}

struct Client {
    stream: TcpStream,
    /// Its handshake is answered.
    open: bool,
}

fn main() -> Result<()> {
    let mut options = options(std::env::args().skip(1))?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut public, mut internal) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut public, PUBLIC, Interest::READABLE)?;
    poll.registry().register(&mut internal, INTERNAL, Interest::READABLE)?;
    println!("{}", control::listening(public.local_addr()?, internal.local_addr()?));

    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut clients = Clients::default();
    let mut senders: Vec<TcpStream> = Vec::new();
    let mut pings =
        options.ping.map(|interval| Pings { every: interval / TURNS as u32, next: Instant::now(), turn: 0 });
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
                    poll.registry().register(&mut stream, Token(SENDERS + senders.len()), Interest::READABLE)?;
                    senders.push(stream);
                    Ok(())
                })?,
                Token(index) if index >= SENDERS => {
                    hear_sender(&mut senders[index - SENDERS], &mut buffer, &mut clients, &mut options.frame)?;
                }
                Token(index) => clients.hear(index, &mut buffer)?,
            }
        }
        if let Some(pings) = &mut pings {
            pings.send(&mut clients);
        }
    }
}

/// Reads requests for pushes and does as they say.
fn hear_sender(sender: &mut TcpStream, buffer: &mut [u8], clients: &mut Clients, frame: &mut Frame) -> Result<()> {
    let read = match sender.read(buffer) {
        Ok(read) => read,
        // Nothing has come, or it has gone.
        Err(_) => return Ok(()),
    };
    let mut bytes = &buffer[..read];
    while let Some(request) = control::next(&mut bytes)? {
        frame.stamp(request.stamp);
        match request.audience {
            Audience::User(user) => clients.write(user, frame.bytes()),
            Audience::Everybody => (0..clients.places.len()).for_each(|index| clients.write(index, frame.bytes())),
            group => (0..clients.places.len())
                .filter(|index| group.holds(*index))
                .for_each(|index| clients.write(index, frame.bytes())),
        }
        sender.write_all(DONE).context("an answer did not fit")?;
    }
    Ok(())
}

impl Clients {
    fn add(&mut self, mut stream: TcpStream, registry: &Registry) -> Result<()> {
        let index = self.free.pop().unwrap_or(self.places.len());
        registry.register(&mut stream, Token(index), Interest::READABLE)?;
        let client = Some(Client { stream, open: false });
        match self.places.get_mut(index) {
            Some(place) => *place = client,
            None => self.places.push(client),
        }
        Ok(())
    }

    fn hear(&mut self, index: usize, buffer: &mut [u8]) -> Result<()> {
        let Some(client) = &mut self.places[index] else { return Ok(()) };
        let answer = match client.stream.read(buffer) {
            Ok(read) if read > 0 => match (buffer[0], buffer[1]) {
                (b'G', _) => UPGRADE,
                (_, CLIENT_PING) => return Ok(()),
                _ => {
                    client.open = true;
                    HANDSHAKE
                }
            },
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            _ => {
                self.remove(index);
                return Ok(());
            }
        };
        client.stream.write_all(answer).context("an answer did not fit")
    }

    /// Writes a frame to a client that is connected; one that does not take it whole is let go of.
    fn write(&mut self, index: usize, frame: &[u8]) {
        let Some(Some(client)) = self.places.get_mut(index) else { return };
        if client.open && !client.stream.write(frame).is_ok_and(|written| written == frame.len()) {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        self.places[index] = None;
        self.free.push(index);
    }
}

/// Pings to every client once in an interval.
struct Pings {
    every: Duration,
    next: Instant,
    turn: usize,
}

impl Pings {
    fn send(&mut self, clients: &mut Clients) {
        while self.next <= Instant::now() {
            self.next += self.every;
            (self.turn..clients.places.len()).step_by(TURNS).for_each(|index| clients.write(index, PING));
            self.turn = (self.turn + 1) % TURNS;
        }
    }
}

fn accept(listener: &TcpListener, mut take: impl FnMut(TcpStream) -> Result<()>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nodelay(true)?;
                take(stream)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options> {
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
