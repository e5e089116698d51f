//! Clients over Server-Sent Events and long polling: limits, timeouts and drain apply as with a WebSocket.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::http::Connection;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::{NegotiatedClient, read_event};
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient};
use notification_hub_tests::wait;
use rustix::process::Signal;
use serde_json::json;

const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
const CLOSE: &str = "{\"type\":7,\"allowReconnect\":true}\u{1e}";

/// Waits until the hub has so many connections with a transport.
fn wait_connections(hub: &LocalHub, transport: &str, count: f64) -> Result<()> {
    let series =
        format!(r#"notification_hub_connections{{client_type="Web",protocol="json",transport="{transport}"}}"#);
    wait::until("the count of connections", WAIT_TIMEOUT, || {
        let found = hub.metric(&series)?;
        ensure!(found == count, "{found}");
        Ok(())
    })
}

#[test]
fn post_before_the_first_poll_is_accepted() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = NegotiatedClient::new(&hub)?;
    client.post(HANDSHAKE)?;
    ensure!(client.poll()?.is_empty());
    ensure!(client.poll()? == "{}\u{1e}");
    Ok(())
}

#[test]
fn connection_of_another_user_is_answered_404() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = NegotiatedClient::new(&hub)?;
    ensure!(client.poll()?.is_empty());
    let mut thief = NegotiatedClient::new(&hub)?;
    thief.target.clone_from(&client.target);
    for method in ["GET", "POST", "DELETE"] {
        ensure!(thief.request(method, b"")?.status == 404, "{method}");
    }
    ensure!(client.request("DELETE", b"")?.status == 202);
    ensure!(client.request("DELETE", b"")?.status == 404);
    Ok(())
}

#[test]
fn disconnected_event_stream_and_idle_poller_are_removed() -> Result<()> {
    let hub = LocalHub::start("signalr.poll_timeout = '1s'")?;
    let (listener, poller) = (NegotiatedClient::new(&hub)?, NegotiatedClient::new(&hub)?);
    let events = listener.connect_events()?;
    ensure!(poller.poll()?.is_empty());
    poller.post(HANDSHAKE)?;
    ensure!(poller.poll()? == "{}\u{1e}");
    wait_connections(&hub, "sse", 1.0)?;
    wait_connections(&hub, "long_polling", 1.0)?;
    ensure!(poller.poll()?.is_empty(), "a poll ends when its time is over");
    drop(events);
    wait_connections(&hub, "sse", 0.0)?;
    wait_connections(&hub, "long_polling", 0.0)?;
    ensure!(poller.request("GET", b"")?.status == 404);
    Ok(())
}

#[test]
fn shutdown_sends_close_to_event_streams_and_polls() -> Result<()> {
    let mut hub = LocalHub::start("reactors = 2")?;
    let (listener, poller) = (NegotiatedClient::new(&hub)?, NegotiatedClient::new(&hub)?);
    let mut events = listener.connect_events()?;
    ensure!(poller.poll()?.is_empty());
    poller.post(HANDSHAKE)?;
    ensure!(poller.poll()? == "{}\u{1e}");
    let mut waiting = Connection::open(hub.public)?;
    let (target, authorization) = (&poller.target, &poller.authorization);
    waiting
        .write(format!("GET {target} HTTP/1.1\r\nHost: hub\r\nAuthorization: {authorization}\r\n\r\n").as_bytes())?;
    // The push proves that the event stream is connected. The poll still waits.
    hub.log_out(&listener.user)?;
    ensure!(read_event(&mut events)?.contains("\"type\":11"));
    hub.process.signal(Signal::TERM)?;
    ensure!(read_event(&mut events)? == format!("data: {CLOSE}\r\n\r\n"));
    ensure!(events.chunk()?.is_none());
    ensure!(waiting.response()?.text() == CLOSE);
    let status = hub.process.wait(WAIT_TIMEOUT)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn limits_are_answered_503_and_429() -> Result<()> {
    let hub = LocalHub::start("limits.max_connections = 1")?;
    let first = NegotiatedClient::new(&hub)?;
    let events = first.connect_events()?;
    let second = NegotiatedClient::new(&hub)?;
    let (response, _) = second.open_events()?;
    ensure!((response.status, response.header("retry-after")) == (503, Some("5")), "{response:?}");
    drop(events);
    wait_connections(&hub, "sse", 0.0)?;
    NegotiatedClient::new(&hub)?.connect_events()?;

    let hub = LocalHub::start("limits.max_connections_per_user = 1")?;
    let client = NegotiatedClient::new(&hub)?;
    let (response, _websocket) = hub.upgrade(client.authorization.strip_prefix("Bearer "))?;
    ensure!(response.status == 101);
    let response = client.request("GET", b"")?;
    ensure!((response.status, response.header("retry-after")) == (429, Some("5")), "{response:?}");
    Ok(())
}

#[test]
fn event_stream_client_that_never_reads_is_closed() -> Result<()> {
    let hub = LocalHub::start("slow_consumer = { max_queued_bytes = '8KiB', write_timeout = '2s' }")?;
    let client = NegotiatedClient::new(&hub)?;
    let _events = client.connect_events()?;
    wait_connections(&hub, "sse", 1.0)?;
    let large = json!({ "type": 11, "payload": { "userId": client.user }, "contextId": "x".repeat(8000) });
    wait::until("the client is closed", WAIT_TIMEOUT, || {
        for _ in 0..20 {
            hub.push(&large)?;
        }
        ensure!(hub.metric(r#"notification_hub_connections_closed_total{reason="slow_consumer"}"#)? == 1.0);
        Ok(())
    })?;
    wait_connections(&hub, "sse", 0.0)
}

#[test]
fn push_of_1_mb_reaches_clients_of_every_transport() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false")?;
    let listener = NegotiatedClient::new(&hub)?;
    let mut events = listener.connect_events()?;
    let poller = NegotiatedClient::new(&hub)?.connect_polling()?;
    let user = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
    let mut websocket = RawClient::connected(&hub, user)?;
    let mut slow = RawClient::with_small_buffers(&hub, &listener.user)?;
    for length in [64_000, 66_000, 70_000, 1_000_000] {
        let context = "x".repeat(length);
        for user in [&listener.user, &poller.user, user] {
            hub.push(&json!({ "type": 11, "payload": { "userId": user }, "contextId": context }))?;
        }
        let by_events = read_event(&mut events).with_context(|| format!("{length} bytes by events"))?;
        ensure!(by_events.contains(&context), "{length} bytes by events: {by_events:.200}");
        let mut by_polls = String::new();
        while !by_polls.contains("\"type\":11") {
            by_polls += &poller.poll().with_context(|| format!("{length} bytes by polls"))?;
        }
        ensure!(by_polls.contains(&context), "{length} bytes by polls: {by_polls:.200}");
        for client in [&mut websocket, &mut slow] {
            let received =
                client.read_until("\"type\":11").with_context(|| format!("{length} bytes by a WebSocket"))?;
            ensure!(received.contains(&context), "{length} bytes by a WebSocket: {received:.200}");
        }
    }
    ensure!(hub.metric(r#"notification_hub_connections_closed_total{reason="slow_consumer"}"#)? == 0.0);
    Ok(())
}

#[test]
fn post_above_64_kib_is_accepted() -> Result<()> {
    let hub = LocalHub::start("")?;
    let poller = NegotiatedClient::new(&hub)?.connect_polling()?;
    let call = b"{\"type\":1,\"invocationId\":\"7\",\"target\":\"Nope\",\"arguments\":[]}\x1e";
    poller.post(&[&b"{\"type\":6}\x1e".repeat(6_000)[..], call].concat())?;
    ensure!(poller.poll()?.contains("\"invocationId\":\"7\""));
    Ok(())
}

#[test]
fn accept_header_of_other_type_gets_no_event_stream() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = NegotiatedClient::new(&hub)?;
    let mut connection = Connection::open(hub.public)?;
    connection.write(client.head("GET", "Accept: text/event-streamx\r\n").as_bytes())?;
    let response = connection.response()?;
    ensure!(response.header("content-type") == Some("application/octet-stream"), "{response:?}");
    Ok(())
}
