//! Clients by Server-Sent Events and long polling: they are limited, timed and let go of as those with a WebSocket are.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::http::{self, Connection, Response};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::wait;
use rustix::process::Signal;
use serde_json::json;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(30);
const HANDSHAKE: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";
const CLOSE: &str = "{\"type\":7,\"allowReconnect\":true}\u{1e}";

/// A client that has negotiated.
struct Client<'a> {
    hub: &'a LocalHub,
    user: String,
    authorization: String,
    target: String,
}

impl<'a> Client<'a> {
    fn negotiate(hub: &'a LocalHub) -> Result<Client<'a>> {
        let user = Uuid::new_v4().to_string();
        let authorization = format!("Bearer {}", hub.token(&user, &[])?);
        let headers = [("Authorization", authorization.as_str())];
        let offer = http::request(hub.public, "POST", "/hub/negotiate?negotiateVersion=1", &headers, b"")?.json()?;
        let token = offer["connectionToken"].as_str().with_context(|| format!("no token: {offer}"))?;
        let target = format!("/hub?id={token}");
        Ok(Client { hub, user, authorization, target })
    }

    fn ask(&self, method: &str, body: &[u8]) -> Result<Response> {
        http::request(self.hub.public, method, &self.target, &[("Authorization", &self.authorization)], body)
    }

    fn say(&self, body: &[u8]) -> Result<()> {
        let response = self.ask("POST", body)?;
        ensure!(response.status == 200, "{response:?}");
        Ok(())
    }

    /// Polls once and gives what was said.
    fn poll(&self) -> Result<String> {
        let response = self.ask("GET", b"")?;
        ensure!(response.status == 200, "{response:?}");
        Ok(response.text())
    }

    /// Asks for events and gives the connection, behind the answer's head.
    fn events(&self) -> Result<(Response, Connection)> {
        let mut connection = Connection::open(self.hub.public)?;
        let (target, authorization) = (&self.target, &self.authorization);
        connection.write(
            format!(
                "GET {target} HTTP/1.1\r\nHost: hub\r\nAccept: text/event-stream\r\n\
                 Authorization: {authorization}\r\n\r\n"
            )
            .as_bytes(),
        )?;
        Ok((connection.head()?, connection))
    }

    /// Connects by events, up to the answer of the handshake.
    fn listen(&self) -> Result<Connection> {
        let (response, mut events) = self.events()?;
        ensure!(response.status == 200, "{response:?}");
        ensure!(next(&mut events)? == ":\r\n");
        self.say(HANDSHAKE)?;
        ensure!(next(&mut events)? == "data: {}\u{1e}\r\n\r\n");
        Ok(events)
    }

    fn log_out(&self) -> Result<()> {
        self.hub.push(&json!({ "type": 11, "payload": { "userId": self.user } }))
    }
}

fn next(events: &mut Connection) -> Result<String> {
    Ok(String::from_utf8(events.chunk()?.context("the events have ended")?)?)
}

fn connected(hub: &LocalHub, transport: &str, count: f64) -> Result<()> {
    let series =
        format!(r#"notification_hub_connections{{client_type="Web",protocol="json",transport="{transport}"}}"#);
    wait::until("the count of connections", SOON, || {
        let found = hub.metric(&series)?;
        ensure!(found == count, "{found}");
        Ok(())
    })
}

#[test]
fn who_says_something_before_it_is_connected_is_heard() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = Client::negotiate(&hub)?;
    client.say(HANDSHAKE)?;
    ensure!(client.poll()?.is_empty());
    ensure!(client.poll()? == "{}\u{1e}");
    Ok(())
}

#[test]
fn a_connection_is_nobody_elses() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = Client::negotiate(&hub)?;
    ensure!(client.poll()?.is_empty());
    let thief = Client { target: client.target.clone(), ..Client::negotiate(&hub)? };
    for method in ["GET", "POST", "DELETE"] {
        ensure!(thief.ask(method, b"")?.status == 404, "{method}");
    }
    ensure!(client.ask("DELETE", b"")?.status == 202);
    ensure!(client.ask("DELETE", b"")?.status == 404);
    Ok(())
}

#[test]
fn who_hangs_up_or_polls_no_more_is_gone() -> Result<()> {
    let hub = LocalHub::start("signalr.poll_timeout = '1s'")?;
    let (listener, poller) = (Client::negotiate(&hub)?, Client::negotiate(&hub)?);
    let events = listener.listen()?;
    ensure!(poller.poll()?.is_empty());
    poller.say(HANDSHAKE)?;
    ensure!(poller.poll()? == "{}\u{1e}");
    connected(&hub, "sse", 1.0)?;
    connected(&hub, "long_polling", 1.0)?;
    ensure!(poller.poll()?.is_empty(), "a poll ends when its time is over");
    drop(events);
    connected(&hub, "sse", 0.0)?;
    connected(&hub, "long_polling", 0.0)?;
    ensure!(poller.ask("GET", b"")?.status == 404);
    Ok(())
}

#[test]
fn a_hub_that_ends_tells_its_clients() -> Result<()> {
    let mut hub = LocalHub::start("reactors = 2")?;
    let (listener, poller) = (Client::negotiate(&hub)?, Client::negotiate(&hub)?);
    let mut events = listener.listen()?;
    ensure!(poller.poll()?.is_empty());
    poller.say(HANDSHAKE)?;
    ensure!(poller.poll()? == "{}\u{1e}");
    let mut waiting = Connection::open(hub.public)?;
    let (target, authorization) = (&poller.target, &poller.authorization);
    waiting
        .write(format!("GET {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n\r\n").as_bytes())?;
    // Both are connected, and the poll waits: a push reaches the one, and the other has nothing to say.
    listener.log_out()?;
    ensure!(next(&mut events)?.contains("\"type\":11"));
    hub.process.signal(Signal::TERM)?;
    ensure!(next(&mut events)? == format!("data: {CLOSE}\r\n\r\n"));
    ensure!(events.chunk()?.is_none());
    ensure!(waiting.response()?.text() == CLOSE);
    let status = hub.process.wait(SOON)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_full_hub_and_a_busy_user_are_told_so() -> Result<()> {
    let hub = LocalHub::start("limits.connections = 1")?;
    let first = Client::negotiate(&hub)?;
    let events = first.listen()?;
    let second = Client::negotiate(&hub)?;
    let (response, _) = second.events()?;
    ensure!((response.status, response.header("retry-after")) == (503, Some("5")), "{response:?}");
    drop(events);
    connected(&hub, "sse", 0.0)?;
    Client::negotiate(&hub)?.listen()?;

    let hub = LocalHub::start("limits.per_user = 1")?;
    let client = Client::negotiate(&hub)?;
    let (response, _websocket) = hub.upgrade(client.authorization.strip_prefix("Bearer "))?;
    ensure!(response.status == 101);
    let response = client.ask("GET", b"")?;
    ensure!((response.status, response.header("retry-after")) == (429, Some("5")), "{response:?}");
    Ok(())
}

#[test]
fn a_listener_that_never_reads_is_let_go_of() -> Result<()> {
    let hub = LocalHub::start("slow_consumer = { queue = '8KiB', timeout = '2s' }")?;
    let client = Client::negotiate(&hub)?;
    let _events = client.listen()?;
    connected(&hub, "sse", 1.0)?;
    wait::until("it is gone", SOON, || {
        for _ in 0..500 {
            client.log_out()?;
        }
        ensure!(hub.metric(r#"notification_hub_closes_total{reason="slow"}"#)? == 1.0);
        Ok(())
    })?;
    connected(&hub, "sse", 0.0)
}
