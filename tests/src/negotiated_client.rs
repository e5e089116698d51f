//! A client over Server-Sent Events or long polling that has negotiated. A test sends each of its requests.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use crate::http::{self, Connection, Response};
use crate::local_hub::LocalHub;
use crate::raw_client::{HANDSHAKE, connect_with_small_buffers};

/// A client that has negotiated.
pub struct NegotiatedClient {
    /// The public port of its hub.
    hub: SocketAddr,
    /// The id of its user.
    pub user: String,
    /// The value of its `Authorization` header.
    pub authorization: String,
    /// The target of its requests, with the connection token.
    pub target: String,
}

impl NegotiatedClient {
    /// Negotiates for a new user.
    pub fn new(hub: &LocalHub) -> Result<Self> {
        let user = Uuid::new_v4().to_string();
        let token = hub.token(&user, &[])?;
        Self::with_token(hub.public, user, &token)
    }

    /// Negotiates with a token of a user, at the public port of a hub.
    pub fn with_token(hub: SocketAddr, user: String, token: &str) -> Result<Self> {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let offer = http::request(hub, "POST", "/hub/negotiate?negotiateVersion=1", &headers, b"")?.json()?;
        let token = offer["connectionToken"].as_str().with_context(|| format!("no token: {offer}"))?;
        let target = format!("/hub?id={token}");
        Ok(Self { hub, user, authorization, target })
    }

    /// Sends a request on a connection of its own and returns the response.
    pub fn request(&self, method: &str, body: &[u8]) -> Result<Response> {
        http::request(self.hub, method, &self.target, &[("Authorization", &self.authorization)], body)
    }

    /// Posts messages to the hub, and fails unless they are accepted.
    pub fn post(&self, body: &[u8]) -> Result<()> {
        let response = self.request("POST", body)?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Polls once and returns the messages.
    pub fn poll(&self) -> Result<String> {
        let response = self.request("GET", b"")?;
        ensure!(response.status == 200, "{response:?}");
        Ok(response.text())
    }

    /// Sends a poll on a connection of its own, whose response is still to be read.
    pub fn open_poll(&self) -> Result<Connection> {
        let mut connection = Connection::open(self.hub)?;
        connection.write(self.head("GET", "").as_bytes())?;
        Ok(connection)
    }

    /// Connects by long polling and completes the handshake.
    pub fn connect_polling(self) -> Result<Self> {
        ensure!(self.poll()?.is_empty());
        self.post(HANDSHAKE)?;
        ensure!(self.poll()? == "{}\u{1e}");
        Ok(self)
    }

    /// Returns the head of a request. `more` holds further header lines, each with its CRLF, or is empty.
    pub fn head(&self, method: &str, more: &str) -> String {
        let (target, authorization) = (&self.target, &self.authorization);
        format!("{method} {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n{more}\r\n")
    }

    /// Requests the event stream. Returns the head of the response, and the connection with the stream.
    pub fn open_events(&self) -> Result<(Response, Connection)> {
        self.open_events_on(Connection::open(self.hub)?)
    }

    fn open_events_on(&self, mut connection: Connection) -> Result<(Response, Connection)> {
        connection.write(self.head("GET", "Accept: text/event-stream\r\n").as_bytes())?;
        Ok((connection.head()?, connection))
    }

    /// Connects by Server-Sent Events and completes the handshake.
    pub fn connect_events(&self) -> Result<Connection> {
        self.connect_events_on(Connection::open(self.hub)?)
    }

    /// Does the same over a socket with small buffers, so that few unread bytes fit into the kernel.
    pub fn connect_events_with_small_buffers(&self) -> Result<Connection> {
        self.connect_events_on(connect_with_small_buffers(self.hub)?)
    }

    fn connect_events_on(&self, connection: Connection) -> Result<Connection> {
        let (response, mut events) = self.open_events_on(connection)?;
        ensure!(response.status == 200, "{response:?}");
        ensure!(read_event(&mut events)? == ":\r\n");
        self.post(HANDSHAKE)?;
        ensure!(read_event(&mut events)? == "data: {}\u{1e}\r\n\r\n");
        Ok(events)
    }
}

/// Reads the next event, which may span several chunks.
pub fn read_event(events: &mut Connection) -> Result<String> {
    let mut event = Vec::new();
    while event != b":\r\n" && !event.ends_with(b"\r\n\r\n") {
        event.extend(events.chunk()?.context("the events have ended")?);
    }
    Ok(String::from_utf8(event)?)
}
