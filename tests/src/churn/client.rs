//! A client of the churn: it reads, pings, and leaves in one of many ways.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use socket2::SockRef;

use super::device::Device;
use crate::frames::{frame, opcode};
use crate::http::{self, Connection};
use crate::raw_client::HANDSHAKE;

/// How long a read waits.
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// SignalR's Close, or with long polling a DELETE, and nothing more is read.
    Close,
    /// The WebSocket's Close.
    WebSocketClose,
    /// FIN.
    End,
    /// RST.
    Reset,
    /// A ping, and RST at once.
    PingAndReset,
    /// Another connection of the device comes first.
    Overlap,
}

impl Leave {
    pub(super) const ALL: [Leave; 6] =
        [Leave::Close, Leave::WebSocketClose, Leave::End, Leave::Reset, Leave::PingAndReset, Leave::Overlap];
    /// Those that say nothing: all that is left to a client that has not read for a while.
    pub(super) const SILENT: [Leave; 2] = [Leave::End, Leave::Reset];
}

/// By what a client is connected.
enum Transport {
    WebSocket,
    /// What is said is posted.
    Events(Session),
    /// What is said is posted, and the socket is the one of the current poll, of whose answer so much has been read.
    Polling(Session, Vec<u8>),
}

/// What the requests of a negotiated connection need.
struct Session {
    hub: SocketAddr,
    target: String,
    authorization: String,
}

/// A connection that has shaken hands.
pub(super) struct Client {
    transport: Transport,
    stream: TcpStream,
    /// What has come of a message that is not whole yet.
    bytes: Vec<u8>,
    /// The pushes that it has read.
    read: HashSet<usize>,
}

impl Client {
    /// Connects by a WebSocket.
    pub(super) fn by_websocket(hub: SocketAddr, token: &str) -> Result<Client> {
        let mut connection = Connection::open(hub)?;
        connection.write(http::upgrade(&format!("/hub?access_token={token}"), "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 101, "refused");
        let (mut stream, bytes) = connection.into_parts();
        stream.write_all(&frame(opcode::TEXT, HANDSHAKE))?;
        Client::shake(Transport::WebSocket, stream, bytes)
    }

    /// Connects by Server-Sent Events.
    pub(super) fn by_events(hub: SocketAddr, token: &str) -> Result<Client> {
        let session = Session::negotiate(hub, token)?;
        let mut connection = session.get("Accept: text/event-stream\r\n")?;
        ensure!(connection.head()?.status == 200, "refused");
        let (stream, bytes) = connection.into_parts();
        session.post(HANDSHAKE)?;
        Client::shake(Transport::Events(session), stream, bytes)
    }

    /// Connects by long polling.
    pub(super) fn by_polling(hub: SocketAddr, token: &str) -> Result<Client> {
        let session = Session::negotiate(hub, token)?;
        ensure!(session.get("")?.response()?.status == 200, "refused");
        session.post(HANDSHAKE)?;
        let (stream, answer) = session.get("")?.into_parts();
        Client::shake(Transport::Polling(session, answer), stream, Vec::new())
    }

    /// Reads up to the answer of the handshake.
    fn shake(transport: Transport, stream: TcpStream, bytes: Vec<u8>) -> Result<Client> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut client = Client { transport, stream, bytes, read: HashSet::new() };
        while !client.bytes.contains(&0x1e) {
            ensure!(client.receive(), "the connection ended in its handshake");
        }
        Ok(client)
    }

    /// The socket, for one who only reads it away.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads what has come, or waits a little for it; `false` once the connection has ended.
    pub(super) fn read(&mut self, device: &mut Device) -> bool {
        let is_open = self.receive();
        while let Some(end) = self.bytes.iter().position(|byte| *byte == 0x1e) {
            let message: Vec<u8> = self.bytes.drain(..=end).collect();
            if let Some(push) = device.take(&String::from_utf8_lossy(&message[..end])) {
                device.duplicates += usize::from(!self.read.insert(push));
            }
        }
        is_open
    }

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
            Transport::Polling(session, answer) => {
                answer.extend_from_slice(&buffer[..count]);
                let Ok(response) = http::parse_response(answer) else { return false };
                let Some(response) = response else { return true };
                self.bytes.extend_from_slice(&response.body);
                answer.clear();
                let next = || -> Result<TcpStream> {
                    let (stream, _) = session.get("")?.into_parts();
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

    fn say(&mut self, message: &[u8]) -> Result<()> {
        match &self.transport {
            Transport::WebSocket => Ok(self.stream.write_all(&frame(opcode::TEXT, message))?),
            Transport::Events(session) | Transport::Polling(session, _) => session.post(message),
        }
    }

    /// Says that it is there.
    pub(super) fn ping(&mut self) -> Result<()> {
        self.say(b"{\"type\":6}\x1e")
    }

    /// Hangs up; what the hub says to that is not read.
    pub(super) fn leave(mut self, how: Leave) {
        // A hub that has hung up first is left as well.
        let _ = match (how, &self.transport) {
            (Leave::Close, Transport::Polling(session, _)) => session.ask("DELETE", b"").map(drop),
            (Leave::Close, _) => self.say(b"{\"type\":7}\x1e"),
            (Leave::WebSocketClose, Transport::WebSocket) => {
                self.stream.write_all(&frame(opcode::CLOSE, &1000u16.to_be_bytes())).map_err(Into::into)
            }
            (Leave::WebSocketClose | Leave::End | Leave::Overlap, _) => {
                self.stream.shutdown(Shutdown::Write).map_err(Into::into)
            }
            (Leave::PingAndReset, _) => self.ping(),
            (Leave::Reset, _) => Ok(()),
        };
        if matches!(how, Leave::Reset | Leave::PingAndReset) {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Session {
    fn negotiate(hub: SocketAddr, token: &str) -> Result<Session> {
        let mut session = Session {
            hub,
            target: "/hub/negotiate?negotiateVersion=1".into(),
            authorization: format!("Bearer {token}"),
        };
        let offer = session.ask("POST", b"")?.json()?;
        let token = offer["connectionToken"].as_str().ok_or_else(|| anyhow!("no token: {offer}"))?;
        session.target = format!("/hub?id={token}");
        Ok(session)
    }

    fn ask(&self, method: &str, body: &[u8]) -> Result<http::Response> {
        http::request(self.hub, method, &self.target, &[("Authorization", &self.authorization)], body)
    }

    fn post(&self, message: &[u8]) -> Result<()> {
        let response = self.ask("POST", message).context("a message was not taken")?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Sends a GET with more header lines, each with its line's end, or none; the answer is still to be read.
    fn get(&self, more: &str) -> Result<Connection> {
        let (target, authorization) = (&self.target, &self.authorization);
        let mut connection = Connection::open(self.hub)?;
        let head = format!("GET {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n{more}\r\n");
        connection.write(head.as_bytes())?;
        Ok(connection)
    }
}
