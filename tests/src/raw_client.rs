//! A WebSocket client whose sent bytes and reads a test controls exactly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockRef, Socket, Type};

use crate::frames::{frame, opcode};
use crate::http::{self, Connection};
use crate::local_hub::LocalHub;

/// The handshake request of the JSON protocol.
pub const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";

/// The receive buffer of a socket with small buffers.
const SMALL_BUFFER_BYTES: usize = 4 * 1024;

/// The segment size of a socket with small buffers. With loopback's large segments, the kernel would buffer megabytes.
const SMALL_SEGMENT_BYTES: u32 = 536;

/// A client with a WebSocket.
pub struct RawClient {
    stream: TcpStream,
    read: Vec<u8>,
}

impl RawClient {
    /// Connects a client up to the 101 response, without a handshake.
    pub fn upgraded(hub: &LocalHub, user: &str) -> Result<Self> {
        let (response, connection) = hub.upgrade(Some(&hub.token(user, &[])?))?;
        ensure!(response.status == 101, "{response:?}");
        Ok(Self::from(connection))
    }

    /// Connects a client and completes the handshake of the JSON protocol.
    pub fn connected(hub: &LocalHub, user: &str) -> Result<Self> {
        Self::upgraded(hub, user)?.complete_handshake()
    }

    /// Does the same over a socket with small buffers, so that few unread bytes fit into the kernel.
    pub fn with_small_buffers(hub: &LocalHub, user: &str) -> Result<Self> {
        let mut connection = connect_with_small_buffers(hub.public)?;
        let authorization = format!("Authorization: Bearer {}\r\n", hub.token(user, &[])?);
        connection.write(http::upgrade_request("/hub", "hub", &authorization).as_bytes())?;
        let response = connection.response()?;
        ensure!(response.status == 101, "{response:?}");
        Self::from(connection).complete_handshake()
    }

    fn complete_handshake(mut self) -> Result<Self> {
        self.send(&frame(opcode::TEXT, HANDSHAKE))?;
        let answer = self.frame()?;
        ensure!(answer == Some((0x81, b"{}\x1e".to_vec())), "{answer:?}");
        Ok(self)
    }

    /// Writes bytes unchanged.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// Reads the next frame and returns its first byte and payload, or `None` at the end.
    pub fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some((first, payload, length)) = parse(&self.read) {
                let payload = self.read[payload..length].to_vec();
                self.read.drain(..length);
                return Ok(Some((first, payload)));
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer).context("the hub sends nothing")? {
                0 if self.read.is_empty() => return Ok(None),
                0 => bail!("the connection ended in a frame"),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Reads frames until one contains a text, and returns its payload.
    pub fn read_until(&mut self, text: &str) -> Result<String> {
        while let Some((_, payload)) = self.frame()? {
            let payload = String::from_utf8_lossy(&payload).into_owned();
            if payload.contains(text) {
                return Ok(payload);
            }
        }
        bail!("the connection ended before {text:?} was received")
    }

    /// Reads all bytes until the hub closes the connection.
    pub fn read_to_end(mut self) -> Result<Vec<u8>> {
        self.stream.read_to_end(&mut self.read).context("the hub does not close the connection")?;
        Ok(self.read)
    }

    /// Returns whether the hub resets the connection before a read times out. Bytes before the reset are ignored.
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

    /// Returns a second handle of the socket, for a thread that writes while another reads.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, read: Vec::new() })
    }

    /// Returns the socket.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Closes the socket with a FIN or an RST.
    pub fn close(self, how: SocketClose) -> Result<()> {
        close_socket(self.stream, how)
    }
}

/// How a client closes its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketClose {
    /// A FIN.
    Fin,
    /// An RST.
    Reset,
}

impl SocketClose {
    /// All variants.
    pub const ALL: [SocketClose; 2] = [SocketClose::Fin, SocketClose::Reset];
}

/// Closes a socket with a FIN or an RST.
pub fn close_socket(stream: TcpStream, how: SocketClose) -> Result<()> {
    match how {
        // A plain close would send an RST if bytes are unread.
        SocketClose::Fin => stream.shutdown(Shutdown::Write)?,
        SocketClose::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
    }
    Ok(())
}

/// Connects over a socket with small buffers.
pub fn connect_with_small_buffers(address: SocketAddr) -> Result<Connection> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_recv_buffer_size(SMALL_BUFFER_BYTES)?;
    socket.set_tcp_mss(SMALL_SEGMENT_BYTES)?;
    socket.connect(&address.into()).with_context(|| format!("no connection to {address}"))?;
    Connection::from_stream(socket.into(), address)
}

impl From<Connection> for RawClient {
    fn from(connection: Connection) -> Self {
        let (stream, read) = connection.into_parts();
        Self { stream, read }
    }
}

/// Returns the first byte of the first frame and the range of its payload, or `None` if the frame is not complete.
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
