//! A client of a churn run, over any transport. It reads, pings, and disconnects in one of several ways.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use socket2::SockRef;

use super::device::Device;
use crate::frames::{frame, opcode};
use crate::http::{self, Connection};
use crate::negotiated_client::NegotiatedClient;
use crate::raw_client::HANDSHAKE;

/// The timeout of a read.
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disconnect {
    /// A SignalR Close message, or a DELETE with long polling. Nothing more is read.
    SignalrClose,
    /// A WebSocket Close frame.
    WebSocketClose,
    /// A FIN.
    Fin,
    /// An RST.
    Reset,
    /// A ping, immediately followed by an RST.
    PingAndReset,
    /// A FIN, after the device has opened another connection.
    Overlap,
}

impl Disconnect {
    pub(super) const ALL: [Disconnect; 6] = [
        Disconnect::SignalrClose,
        Disconnect::WebSocketClose,
        Disconnect::Fin,
        Disconnect::Reset,
        Disconnect::PingAndReset,
        Disconnect::Overlap,
    ];
    /// Those without a message, for a client that has not read for a while.
    pub(super) const SILENT: [Disconnect; 2] = [Disconnect::Fin, Disconnect::Reset];
}

/// The transport of a client. Without a WebSocket, messages to the hub are posted.
enum Transport {
    WebSocket,
    Events(NegotiatedClient),
    /// Long polling, with the bytes that were read of the response to the current poll.
    Polling(NegotiatedClient, Vec<u8>),
}

/// A client that has completed its handshake.
pub(super) struct ChurnClient {
    transport: Transport,
    /// The WebSocket, the event stream or the current poll.
    stream: TcpStream,
    /// The bytes of a message that is not complete.
    bytes: Vec<u8>,
    /// The numbers of the pushes that it has read.
    read: HashSet<usize>,
}

impl ChurnClient {
    /// Connects over a WebSocket.
    pub(super) fn connect_websocket(hub: SocketAddr, token: &str) -> Result<ChurnClient> {
        let mut connection = Connection::open(hub)?;
        connection.write(http::upgrade_request(&format!("/hub?access_token={token}"), "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 101, "refused");
        let (mut stream, bytes) = connection.into_parts();
        stream.write_all(&frame(opcode::TEXT, HANDSHAKE))?;
        ChurnClient::complete_handshake(Transport::WebSocket, stream, bytes)
    }

    /// Connects over Server-Sent Events.
    pub(super) fn connect_events(hub: SocketAddr, user: &str, token: &str) -> Result<ChurnClient> {
        let client = NegotiatedClient::with_token(hub, user.to_owned(), token)?;
        let (response, connection) = client.open_events()?;
        ensure!(response.status == 200, "refused");
        let (stream, bytes) = connection.into_parts();
        client.post(HANDSHAKE)?;
        ChurnClient::complete_handshake(Transport::Events(client), stream, bytes)
    }

    /// Connects by long polling.
    pub(super) fn connect_polling(hub: SocketAddr, user: &str, token: &str) -> Result<ChurnClient> {
        let client = NegotiatedClient::with_token(hub, user.to_owned(), token)?;
        ensure!(client.open_poll()?.response()?.status == 200, "refused");
        client.post(HANDSHAKE)?;
        let (stream, answer) = client.open_poll()?.into_parts();
        ChurnClient::complete_handshake(Transport::Polling(client, answer), stream, Vec::new())
    }

    /// Reads up to the handshake response.
    fn complete_handshake(transport: Transport, stream: TcpStream, bytes: Vec<u8>) -> Result<ChurnClient> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut client = ChurnClient { transport, stream, bytes, read: HashSet::new() };
        while !client.bytes.contains(&0x1e) {
            ensure!(client.receive(), "the connection ended in its handshake");
        }
        Ok(client)
    }

    /// Returns the socket, for a client whose messages are discarded.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads what has arrived, waiting at most `READ_TIMEOUT`. Returns `false` if the connection has ended.
    pub(super) fn read(&mut self, device: &mut Device) -> bool {
        let is_open = self.receive();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == 0x1e) {
            let message: Vec<u8> = self.bytes.drain(..=end).collect();
            if let Some(push) = device.record_message(&String::from_utf8_lossy(&message[..end])) {
                device.duplicates += usize::from(!self.read.insert(push));
            }
        }
        is_open
    }

    /// Reads bytes once. With long polling, sends the next poll when a response is complete.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let count = match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return true,
            Err(_) => return false,
        };
        match &mut self.transport {
            Transport::WebSocket | Transport::Events(_) => self.bytes.extend_from_slice(&buffer[..count]),
            Transport::Polling(client, answer) => {
                answer.extend_from_slice(&buffer[..count]);
                let Ok(response) = http::parse_response(answer) else { return false };
                let Some(response) = response else { return true };
                self.bytes.extend_from_slice(&response.body);
                answer.clear();
                let next = || -> Result<TcpStream> {
                    let (stream, _) = client.open_poll()?.into_parts();
                    stream.set_read_timeout(Some(READ_TIMEOUT))?;
                    Ok(stream)
                };
                match next() {
                    Ok(stream) if response.status == 200 => self.stream = stream,
                    _ => return false,
                }
            }
        }
        true
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        match &self.transport {
            Transport::WebSocket => Ok(self.stream.write_all(&frame(opcode::TEXT, message))?),
            Transport::Events(client) | Transport::Polling(client, _) => client.post(message),
        }
    }

    /// Sends a SignalR ping.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.send(b"{\"type\":6}\x1e")
    }

    /// Disconnects without reading the answer of the hub.
    pub(super) fn disconnect(mut self, how: Disconnect) {
        // These fail if the hub has closed the connection first.
        let _ = match (how, &self.transport) {
            (Disconnect::SignalrClose, Transport::Polling(client, _)) => client.request("DELETE", b"").map(drop),
            (Disconnect::SignalrClose, _) => self.send(b"{\"type\":7}\x1e"),
            (Disconnect::WebSocketClose, Transport::WebSocket) => {
                self.stream.write_all(&frame(opcode::CLOSE, &1000u16.to_be_bytes())).map_err(Into::into)
            }
            (Disconnect::WebSocketClose | Disconnect::Fin | Disconnect::Overlap, _) => {
                self.stream.shutdown(Shutdown::Write).map_err(Into::into)
            }
            (Disconnect::PingAndReset, _) => self.ping(),
            (Disconnect::Reset, _) => Ok(()),
        };
        if matches!(how, Disconnect::Reset | Disconnect::PingAndReset) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}
