//! The control of the benchmark: one thread, one epoll, no hub. It answers the upgrade and the handshake with fixed bytes,
//! without reading what they say, and on each request to its internal listener writes one fixed frame to every connection.
//!
//! Requests are taken to come in one piece, as the load generator writes them.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

/// The answer to the one `Sec-WebSocket-Key` that the load generator sends.
const UPGRADE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const HANDSHAKE: &[u8] = b"\x82\x03{}\x1e";
const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const PUBLIC: Token = Token(usize::MAX - 2);
const INTERNAL: Token = Token(usize::MAX - 1);

fn main() -> Result<()> {
    let frame = frame()?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut public, mut internal) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut public, PUBLIC, Interest::READABLE)?;
    poll.registry().register(&mut internal, INTERNAL, Interest::READABLE)?;
    println!(r#"{{"listening":{{"public":"{}","internal":"{}"}}}}"#, public.local_addr()?, internal.local_addr()?);

    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut connections: Vec<Option<TcpStream>> = Vec::new();
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                PUBLIC => accept(&public, poll.registry(), &mut connections)?,
                INTERNAL => accept(&internal, poll.registry(), &mut connections)?,
                Token(index) => {
                    let first = match connections[index].as_mut().map(|stream| stream.read(&mut buffer)) {
                        Some(Ok(read)) if read > 0 => buffer[0],
                        Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => continue,
                        _ => {
                            connections[index] = None;
                            continue;
                        }
                    };
                    let answer = match first {
                        b'G' => UPGRADE,
                        b'P' => {
                            push(&mut connections, index, &frame);
                            DONE
                        }
                        _ => HANDSHAKE,
                    };
                    if let Some(stream) = &mut connections[index] {
                        stream.write_all(answer).context("an answer did not fit")?;
                    }
                }
            }
        }
    }
}

/// Writes the frame to every connection but the one that asked for it.
fn push(connections: &mut [Option<TcpStream>], sender: usize, frame: &[u8]) {
    for (index, stream) in connections.iter_mut().enumerate() {
        let Some(open) = stream else { continue };
        if index != sender && !open.write(frame).is_ok_and(|written| written == frame.len()) {
            *stream = None;
        }
    }
}

fn accept(listener: &TcpListener, registry: &Registry, connections: &mut Vec<Option<TcpStream>>) -> Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nodelay(true)?;
                registry.register(&mut stream, Token(connections.len()), Interest::READABLE)?;
                connections.push(Some(stream));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A binary frame of as many bytes as `--frame` says, its head included.
fn frame() -> Result<Vec<u8>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let length: usize = match arguments.as_slice() {
        [name, length] if name == "--frame" => length.parse().context("--frame takes a number")?,
        _ => bail!("usage: bare-epoll --frame BYTES"),
    };
    let mut frame = match length {
        2..=127 => vec![0x82, (length - 2) as u8],
        130..=65_539 => [&[0x82, 126], ((length - 4) as u16).to_be_bytes().as_slice()].concat(),
        _ => bail!("no frame has {length} bytes"),
    };
    frame.resize(length, b'x');
    Ok(frame)
}
