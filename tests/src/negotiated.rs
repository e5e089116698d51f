//! A client by Server-Sent Events or long polling that has negotiated, request by request.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use uuid::Uuid;

use crate::http::{self, Connection, Response};
use crate::local_hub::LocalHub;
use crate::raw_client::{HANDSHAKE, narrow};

/// A client.
pub struct Negotiated<'a> {
    hub: &'a LocalHub,
    /// Who it is.
    pub user: String,
    /// Its header of that name.
    pub authorization: String,
    /// Where its requests go.
    pub target: String,
}

impl<'a> Negotiated<'a> {
    /// Negotiates for a user of its own.
    pub fn new(hub: &'a LocalHub) -> Result<Self> {
        let user = Uuid::new_v4().to_string();
        let token = hub.token(&user, &[])?;
        Self::with_token(hub, user, &token)
    }

    /// Negotiates with a token.
    pub fn with_token(hub: &'a LocalHub, user: String, token: &str) -> Result<Self> {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str())];
        let offer = http::request(hub.public, "POST", "/hub/negotiate?negotiateVersion=1", &headers, b"")?.json()?;
        let token = offer["connectionToken"].as_str().with_context(|| format!("no token: {offer}"))?;
        let target = format!("/hub?id={token}");
        Ok(Self { hub, user, authorization, target })
    }

    /// Asks something, on a connection of its own.
    pub fn ask(&self, method: &str, body: &[u8]) -> Result<Response> {
        http::request(self.hub.public, method, &self.target, &[("Authorization", &self.authorization)], body)
    }

    /// Says something, and expects that it is heard.
    pub fn say(&self, body: &[u8]) -> Result<()> {
        let response = self.ask("POST", body)?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Polls once and gives what was said.
    pub fn poll(&self) -> Result<String> {
        let response = self.ask("GET", b"")?;
        ensure!(response.status == 200, "{response:?}");
        Ok(response.text())
    }

    /// Connects by long polling, up to the answer of the handshake.
    pub fn polled(self) -> Result<Self> {
        ensure!(self.poll()?.is_empty());
        self.say(HANDSHAKE)?;
        ensure!(self.poll()? == "{}\u{1e}");
        Ok(self)
    }

    /// The head of a request, with more header lines, each with its line's end, or none.
    pub fn head(&self, method: &str, more: &str) -> String {
        let (target, authorization) = (&self.target, &self.authorization);
        format!("{method} {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n{more}\r\n")
    }

    /// Asks for events and gives the connection, behind the answer's head.
    pub fn events(&self) -> Result<(Response, Connection)> {
        self.events_on(Connection::open(self.hub.public)?)
    }

    fn events_on(&self, mut connection: Connection) -> Result<(Response, Connection)> {
        connection.write(self.head("GET", "Accept: text/event-stream\r\n").as_bytes())?;
        Ok((connection.head()?, connection))
    }

    /// Connects by events, up to the answer of the handshake.
    pub fn listen(&self) -> Result<Connection> {
        self.listen_on(Connection::open(self.hub.public)?)
    }

    /// The same with little room for what it does not read.
    pub fn listen_with_little_room(&self) -> Result<Connection> {
        self.listen_on(narrow(self.hub.public)?)
    }

    fn listen_on(&self, connection: Connection) -> Result<Connection> {
        let (response, mut events) = self.events_on(connection)?;
        ensure!(response.status == 200, "{response:?}");
        ensure!(event(&mut events)? == ":\r\n");
        self.say(HANDSHAKE)?;
        ensure!(event(&mut events)? == "data: {}\u{1e}\r\n\r\n");
        Ok(events)
    }

    /// Has its user logged out, which is a push that nothing makes up for.
    pub fn log_out(&self) -> Result<()> {
        self.hub.push(&json!({ "type": 11, "payload": { "userId": self.user } }))
    }
}

/// The next event, which a large one comes in several chunks.
pub fn event(events: &mut Connection) -> Result<String> {
    let mut event = Vec::new();
    while event != b":\r\n" && !event.ends_with(b"\r\n\r\n") {
        event.extend(events.chunk()?.context("the events have ended")?);
    }
    Ok(String::from_utf8(event)?)
}
