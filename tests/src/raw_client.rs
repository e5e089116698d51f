//! A client with a WebSocket that says exactly what a test wants, and reads only when it wants.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockRef, Socket, Type};

use crate::frames::{frame, opcode};
use crate::http::{self, Connection};
use crate::local_hub::LocalHub;

/// The handshake of the JSON protocol.
pub const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";

/// How much the kernel keeps for a client that does not read, about.
const SMALL: usize = 4 * 1024;

/// Bytes of a segment: loopback's are so long that the kernel would keep megabytes of answers at once.
const SEGMENT: u32 = 536;

/// A client.
pub struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    /// A client that is upgraded, and has not said a word yet.
    pub fn upgraded(hub: &LocalHub, user: &str) -> Result<Self> {
        let (response, connection) = hub.upgrade(Some(&hub.token(user, &[])?))?;
        ensure!(response.status == 101, "{response:?}");
        Ok(Self::from(connection))
    }

    /// A client by the JSON protocol whose handshake is answered.
    pub fn connected(hub: &LocalHub, user: &str) -> Result<Self> {
        Self::upgraded(hub, user)?.shaken()
    }

    /// The same with little room for what it does not read.
    pub fn with_little_room(hub: &LocalHub, user: &str) -> Result<Self> {
        let mut connection = narrow(hub.public)?;
        let authorization = format!("Authorization: Bearer {}\r\n", hub.token(user, &[])?);
        connection.write(http::upgrade("/hub", "hub", &authorization).as_bytes())?;
        let response = connection.response()?;
        ensure!(response.status == 101, "{response:?}");
        Self::from(connection).shaken()
    }

    fn shaken(mut self) -> Result<Self> {
        self.say(&frame(opcode::TEXT, HANDSHAKE))?;
        let answer = self.frame()?;
        ensure!(answer == Some((0x81, b"{}\x1e".to_vec())), "{answer:?}");
        Ok(self)
    }

    /// Writes bytes as they are.
    pub fn say(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next frame: its first byte and its payload. Nothing at the end.
    pub fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((first, payload, length)) = parse(&self.read) {
                let payload = self.read[payload..length].to_vec();
                self.read.drain(..length);
                return Ok(Some((first, payload)));
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer).context("the hub says nothing")? {
                0 if self.read.is_empty() => return Ok(None),
                0 => bail!("the connection ended in a frame"),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Reads on until a frame holds this text, and gives that frame's.
    pub fn hear(&mut self, text: &str) -> Result<String> {
        while let Some((_, payload)) = self.frame()? {
            let payload = String::from_utf8_lossy(&payload).into_owned();
            if payload.contains(text) {
                return Ok(payload);
            }
        }
        bail!("the connection ended before {text:?} came")
    }

    /// Everything up to the end.
    pub fn rest(mut self) -> Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.read).context("the hub does not hang up")?;
        Ok(self.read)
    }

    /// Whether the hub resets the connection, within the patience of a connection; what it says before counts for nothing.
    pub fn is_reset(mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::ConnectionReset,
            }
        }
    }

    /// The same client once more: one that writes while the other reads.
    pub fn again(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, read: Vec::new() })
    }

    /// Its socket.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Hangs up: with an end, or with a reset.
    pub fn leave(self, how: Leave) -> Result<()> {
        leave(self.stream, how)
    }
}

/// How somebody hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// FIN.
    End,
    /// RST.
    Reset,
}

impl Leave {
    /// Both.
    pub const EVERY: [Leave; 2] = [Leave::End, Leave::Reset];
}

/// Hangs up.
pub fn leave(stream: TcpStream, how: Leave) -> Result<()> {
    match how {
        // Unread bytes would make a reset of it.
        Leave::End => stream.shutdown(Shutdown::Write)?,
        Leave::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
    }
    Ok(())
}

/// A connection with little room for what is not read.
pub fn narrow(address: SocketAddr) -> Result<Connection> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(SMALL)?;
    socket.set_tcp_mss(SEGMENT)?;
    socket.connect(&address.into()).with_context(|| format!("no connection to {address}"))?;
    Connection::on(socket.into(), address)
}

impl From<Connection> for RawClient {
    fn from(connection: Connection) -> Self {
        let (stream, read) = connection.into_parts();
        Self { stream, read }
    }
}

/// The first frame of some bytes, if it is whole: its first byte, where its payload begins and where it ends.
fn parse(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (start, length) = match second {
        126 => (4, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*rest.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let end = start + usize::try_from(length).ok()?;
    (bytes.len() >= end).then_some((first, start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_frames_of_every_length_form() {
        for (bytes, found) in [
            (&b"\x81\x02hi"[..], Some((0x81, 2, 4))),
            (b"\x81\x02h", None),
            (b"\x81", None),
            (b"\x82\x7e\x00\x01x", Some((0x82, 4, 5))),
            (b"\x82\x7f\0\0\0\0\0\0\0\x01x", Some((0x82, 10, 11))),
            (b"\x82\x7f\0\0\0\0\0\0\0\x02x", None),
        ] {
            assert_eq!(parse(bytes), found, "{bytes:?}");
        }
    }
}
