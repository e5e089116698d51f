//! Hostile WebSocket clients: they get the specified answer, affect no other client, and leave no resources behind.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::bench::memory;
use notification_hub_tests::frames::{fragment, frame, opcode};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::{NegotiatedClient, read_event};
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient, SocketClose, close_socket};
use notification_hub_tests::{descriptors, token, wait};
use serde_json::{Value, json};
use uuid::Uuid;

const WAIT_TIMEOUT: Duration = Duration::from_secs(20);
const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
/// The number of messages of a flood.
const MANY: usize = 10_000;

/// A Close frame with status code 1002.
const PROTOCOL_ERROR: &[u8] = b"\x88\x02\x03\xea";
/// A Close frame with status code 1007.
const INVALID_DATA: &[u8] = b"\x88\x02\x03\xef";

/// Returns the number of descriptors of the hub without connections.
fn idle_descriptors(hub: &LocalHub) -> Result<usize> {
    // The first clients make the hub open descriptors that it keeps.
    drop(RawClient::connected(hub, USER)?);
    NegotiatedClient::new(hub)?.connect_polling()?.request("DELETE", b"")?;
    wait::until("no client is connected", WAIT_TIMEOUT, || {
        ensure!(hub.metric_sum("notification_hub_connections")? == 0.0);
        Ok(())
    })?;
    wait::settled("its descriptors", WAIT_TIMEOUT, || descriptors::count(hub.process.id()))
}

/// Waits until the hub has no connections and at most `before` descriptors.
fn wait_no_leak(hub: &LocalHub, before: usize) -> Result<()> {
    wait::until("all resources are released", WAIT_TIMEOUT, || {
        // The descriptors are counted first, because the request for metrics uses one.
        let open = descriptors::count(hub.process.id())?;
        ensure!(open <= before, "{open} descriptors instead of {before}");
        let connections = hub.metric_sum("notification_hub_connections")?;
        ensure!(connections == 0.0, "{connections} connections");
        Ok(())
    })
}

#[test]
fn websocket_protocol_violation_closes_only_its_connection() -> Result<()> {
    let hub = LocalHub::start("")?;
    let mut bystander = RawClient::connected(&hub, USER)?;
    let long = [&[0x81, 0xff, 0x80][..], &[0; 7], &[0; 4]].concat();
    for (what, said, answer) in [
        ("the first reserved bit", frame(0x40 | opcode::TEXT, b"{}"), PROTOCOL_ERROR),
        ("the second reserved bit", frame(0x20 | opcode::TEXT, b"{}"), PROTOCOL_ERROR),
        ("the third reserved bit", frame(0x10 | opcode::PING, b""), PROTOCOL_ERROR),
        ("an unknown opcode", frame(3, b"{}"), PROTOCOL_ERROR),
        ("an unknown control opcode", frame(11, b""), PROTOCOL_ERROR),
        ("an unmasked ping", b"\x89\x00".to_vec(), PROTOCOL_ERROR),
        ("a control frame in pieces", fragment(opcode::PING, b"hi"), PROTOCOL_ERROR),
        ("a control frame of 126 bytes", frame(opcode::PONG, &[0; 126]), PROTOCOL_ERROR),
        ("a close of 1 MB", frame(opcode::CLOSE, &vec![0; 1 << 20]), PROTOCOL_ERROR),
        ("a length above 2^63", long, PROTOCOL_ERROR),
        ("a continuation of nothing", frame(opcode::CONTINUATION, b"{}"), PROTOCOL_ERROR),
        (
            "a message inside another",
            [fragment(opcode::TEXT, b"{"), frame(opcode::TEXT, b"{}")].concat(),
            PROTOCOL_ERROR,
        ),
        ("a close of one byte", frame(opcode::CLOSE, &[3]), PROTOCOL_ERROR),
        ("a close without a code", frame(opcode::CLOSE, &1005u16.to_be_bytes()), PROTOCOL_ERROR),
        ("a close whose reason is no UTF-8", frame(opcode::CLOSE, b"\x03\xe8\xff"), INVALID_DATA),
        ("no UTF-8", frame(opcode::TEXT, b"\"\xc3\x28"), INVALID_DATA),
        ("UTF-8 that ends early", frame(opcode::TEXT, b"\"\xe2\x82"), INVALID_DATA),
        (
            "no UTF-8, in pieces",
            [fragment(opcode::TEXT, b"\"\xe2"), fragment(0, b""), fragment(0, b"\x82"), frame(0, b"\"")].concat(),
            INVALID_DATA,
        ),
    ] {
        let mut whole = RawClient::connected(&hub, USER)?;
        // The write fails if the hub closes the connection early.
        let _ = whole.send(&said);
        let received = whole.read_to_end()?;
        ensure!(received == answer, "{what}: {received:x?}");
        // A megabyte in single bytes would test nothing else.
        let mut bytewise = RawClient::connected(&hub, USER)?;
        for byte in said.iter().take(64) {
            if bytewise.send(&[*byte]).is_err() {
                break;
            }
        }
        let received = bytewise.read_to_end()?;
        ensure!(received == answer, "{what}, byte by byte: {received:x?}");
    }
    hub.push(&json!({ "type": 5, "payload": { "userId": USER } }))?;
    bystander.read_until("ReceiveMessage")?;
    ensure!(hub.metric(r#"notification_hub_connections_closed_total{reason="protocol_error"}"#)? == 36.0);
    Ok(())
}

fn call(number: usize) -> Vec<u8> {
    format!("{{\"type\":1,\"invocationId\":\"{number}\",\"target\":\"Nope\",\"arguments\":[]}}\u{1e}").into_bytes()
}

/// Sends bytes, and returns the messages up to the completion of the last invocation.
fn answers(client: RawClient, said: Vec<u8>) -> Result<Vec<Value>> {
    let mut writer = client.try_clone()?;
    // A client that only writes would block, because the hub stops reading until its answers are read.
    let writing = std::thread::spawn(move || writer.send(&said));
    let (mut reader, mut answers) = (client, Vec::new());
    let last = json!((MANY - 1).to_string());
    while answers.last().is_none_or(|answer: &Value| answer["invocationId"] != last) {
        let (_, payload) = reader.frame()?.with_context(|| format!("it ended after {} answers", answers.len()))?;
        let text =
            payload.strip_suffix(b"\x1e").with_context(|| format!("a frame without a separator: {payload:x?}"))?;
        answers.push(serde_json::from_slice(text)?);
    }
    writing.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok(answers)
}

#[test]
fn invocations_sent_at_once_are_answered_in_order() -> Result<()> {
    let hub = LocalHub::start("")?;
    let calls: Vec<Vec<u8>> = (0..MANY).map(call).collect();
    let frames: Vec<Vec<u8>> = calls.iter().map(|call| frame(opcode::TEXT, call)).collect();
    let tiny: Vec<Vec<u8>> = calls.concat().chunks(7).map(|piece| fragment(opcode::CONTINUATION, piece)).collect();
    let tiny = [fragment(opcode::TEXT, b""), tiny.concat(), frame(opcode::CONTINUATION, b"")].concat();
    for (what, said) in [
        ("one frame", frame(opcode::TEXT, &calls.concat())),
        ("one run of frames", frames.concat()),
        ("tiny fragments", tiny),
    ] {
        for client in [RawClient::connected(&hub, USER)?, RawClient::with_small_buffers(&hub, USER)?] {
            let answers = answers(client, said.clone()).context(what)?;
            let ids = answers.iter().filter_map(|answer| answer["invocationId"].as_str());
            ensure!(ids.eq((0..MANY).map(|number| number.to_string())), "{what}: not in order");
        }
    }
    Ok(())
}

#[test]
fn ping_and_ignored_message_flood_affects_no_others() -> Result<()> {
    let hub = LocalHub::start("")?;
    let mut bystander = RawClient::connected(&hub, USER)?;
    let other = Uuid::new_v4().to_string();
    for (what, said) in [
        ("SignalR pings", frame(opcode::TEXT, &b"{\"type\":6}\x1e".repeat(MANY))),
        ("unknown messages", frame(opcode::TEXT, &b"{\"type\":99}\x1e".repeat(MANY))),
        ("empty messages", frame(opcode::TEXT, b"").repeat(MANY)),
        ("pongs", frame(opcode::PONG, b"").repeat(MANY)),
    ] {
        let mut client = RawClient::connected(&hub, &other)?;
        client.send(&said)?;
        client.send(&frame(opcode::TEXT, &call(0)))?;
        client.read_until("\"invocationId\":\"0\"").context(what)?;
    }
    let mut client = RawClient::connected(&hub, &other)?;
    client.send(&frame(opcode::PING, b"hello").repeat(MANY))?;
    for number in 0..MANY {
        let pong = client.frame()?;
        ensure!(pong == Some((0x8a, b"hello".to_vec())), "{number}: {pong:?}");
    }
    hub.push(&json!({ "type": 5, "payload": { "userId": USER } }))?;
    bystander.read_until("ReceiveMessage")?;
    Ok(())
}

#[test]
fn client_ignoring_answers_is_closed_with_bounded_memory() -> Result<()> {
    let hub = LocalHub::start("slow_consumer.write_timeout = '2s'")?;
    let before = memory::anonymous_bytes(hub.process.id())?;
    let clients: Vec<RawClient> = (0..20).map(|_| RawClient::with_small_buffers(&hub, USER)).collect::<Result<_>>()?;
    let said = frame(opcode::TEXT, &(0..MANY).flat_map(call).collect::<Vec<u8>>());
    let writing: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let said = said.clone();
            std::thread::spawn(move || -> Result<RawClient> {
                let mut writer = client.try_clone()?;
                // It writes until the hub closes the connection.
                while writer.send(&said).is_ok() {}
                Ok(client)
            })
        })
        .collect();
    let mut clients = Vec::new();
    for thread in writing {
        clients.push(thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
    }
    wait::until("the clients are closed", WAIT_TIMEOUT, || {
        ensure!(hub.metric(r#"notification_hub_connections_closed_total{reason="slow_consumer"}"#)? == 20.0);
        Ok(())
    })?;
    let after = memory::anonymous_bytes(hub.process.id())?;
    ensure!(after < before + (16 << 20), "{before} bytes have become {after}");
    Ok(())
}

/// Connects to a hub and stops at a stage, at which the test closes the connection.
type Stage = fn(&LocalHub) -> Result<Connection>;

/// Connects and sends bytes.
fn connect_and_send(hub: &LocalHub, bytes: &[u8]) -> Result<Connection> {
    let mut connection = Connection::open(hub.public)?;
    connection.write(bytes)?;
    Ok(connection)
}

/// Connects up to the 101 response and sends bytes.
fn upgrade_and_send(hub: &LocalHub, bytes: &[u8]) -> Result<Connection> {
    let (response, mut connection) = hub.upgrade(Some(&hub.token(&Uuid::new_v4().to_string(), &[])?))?;
    ensure!(response.status == 101);
    connection.write(bytes)?;
    Ok(connection)
}

/// Sends the handshake and further bytes.
fn handshake_and_send(hub: &LocalHub, bytes: &[u8]) -> Result<Connection> {
    upgrade_and_send(hub, &[&frame(opcode::TEXT, HANDSHAKE), bytes].concat())
}

#[test]
fn disconnect_at_any_stage_leaves_no_descriptor() -> Result<()> {
    let hub = LocalHub::start("reactors = 2")?;
    let stages: [(&str, Stage); 14] = [
        ("before a word", |hub| Connection::open(hub.public)),
        ("in a head", |hub| connect_and_send(hub, b"GET /hub?access_token=")),
        ("behind an upgrade", |hub| {
            let authorization = format!("Authorization: Bearer {}\r\n", hub.token(USER, &[])?);
            connect_and_send(hub, http::upgrade_request("/hub", "hub", &authorization).as_bytes())
        }),
        ("behind the 101", |hub| upgrade_and_send(hub, b"")),
        ("in a handshake", |hub| upgrade_and_send(hub, &fragment(opcode::TEXT, b"{\"protocol\":"))),
        ("behind a handshake", |hub| handshake_and_send(hub, b"")),
        ("in a frame's header", |hub| handshake_and_send(hub, b"\x81\xfe\x01")),
        ("in a frame's payload", |hub| handshake_and_send(hub, &frame(opcode::TEXT, &[b' '; 1000])[..500])),
        ("in a message of fragments", |hub| handshake_and_send(hub, &fragment(opcode::TEXT, b"{\"type\":"))),
        ("behind a ping", |hub| handshake_and_send(hub, &frame(opcode::PING, b"?"))),
        ("in the body of a push", |hub| {
            let token = hub.signer().sign(&token::internal())?;
            let mut connection = Connection::open(hub.internal)?;
            let head = format!("POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n");
            connection.write(format!("{head}Content-Length: 100\r\n\r\n{{\"type\"").as_bytes())?;
            Ok(connection)
        }),
        ("in the body of what a client says", |hub| {
            let client = NegotiatedClient::new(hub)?.connect_polling()?;
            let sent = connect_and_send(hub, client.head("POST", "Content-Length: 100\r\n").as_bytes());
            client.request("DELETE", b"")?;
            sent
        }),
        ("in a poll", |hub| {
            let client = NegotiatedClient::new(hub)?.connect_polling()?;
            let poll = connect_and_send(hub, client.head("GET", "").as_bytes());
            client.request("DELETE", b"")?;
            poll
        }),
        ("among events", |hub| NegotiatedClient::new(hub)?.connect_events()),
    ];
    let before = idle_descriptors(&hub)?;
    for (what, stage) in stages {
        for how in SocketClose::ALL {
            for _ in 0..5 {
                let (stream, _) = stage(&hub).with_context(|| format!("{what}, {how:?}"))?.into_parts();
                close_socket(stream, how)?;
            }
        }
        wait_no_leak(&hub, before).context(what)?;
    }
    ensure!(hub.upgrade(Some(&hub.token(USER, &[])?))?.0.status == 101);
    Ok(())
}

#[test]
fn expired_token_keeps_open_connections_and_is_rejected_otherwise() -> Result<()> {
    let hub = LocalHub::start("auth.clock_skew = '0s'")?;
    let mut claims = token::user(USER, &[], "ChromeBrowser", "test-device");
    claims["exp"] = json!(token::now() + 6);
    let token = hub.signer().sign(&claims)?;
    let (response, connection) = hub.upgrade(Some(&token))?;
    ensure!(response.status == 101);
    let mut client = RawClient::from(connection);
    client.send(&frame(opcode::TEXT, HANDSHAKE))?;
    client.read_until("{}")?;
    let poller = NegotiatedClient::with_token(hub.public, USER.to_owned(), &token)?.connect_polling()?;
    let listener = NegotiatedClient::with_token(hub.public, USER.to_owned(), &token)?;
    let mut events = listener.connect_events()?;

    wait::until("the token has expired", WAIT_TIMEOUT, || {
        ensure!(hub.upgrade(Some(&token))?.0.status == 401);
        Ok(())
    })?;
    ensure!(hub.metric(r#"notification_hub_auth_failures_total{reason="expired"}"#)? >= 1.0);
    for (what, response) in [("a poll", poller.request("GET", b"")?), ("what is said", listener.request("POST", b"")?)]
    {
        ensure!(response.status == 401, "{what}: {response:?}");
    }
    hub.push(&json!({ "type": 5, "payload": { "userId": USER } }))?;
    client.read_until("\"type\":5")?;
    while !read_event(&mut events)?.contains("\"type\":5") {}
    Ok(())
}

#[test]
fn disconnects_during_organization_pushes_do_not_affect_other_members() -> Result<()> {
    let hub = LocalHub::start("")?;
    let before = idle_descriptors(&hub)?;
    let organization = Uuid::new_v4().to_string();
    let member = || -> Result<RawClient> {
        let token = hub.token(&Uuid::new_v4().to_string(), std::slice::from_ref(&organization))?;
        let (_, connection) = hub.upgrade(Some(&token))?;
        let mut client = RawClient::from(connection);
        client.send(&frame(opcode::TEXT, HANDSHAKE))?;
        client.read_until("{}")?;
        Ok(client)
    };
    let mut remaining = member()?;
    let push = json!({ "type": 18, "payload": { "organizationId": organization, "enabled": true } });
    for round in 0..10 {
        let leaving: Vec<RawClient> = (0..10).map(|_| member()).collect::<Result<_>>()?;
        for (number, client) in leaving.into_iter().enumerate() {
            client.close(SocketClose::ALL[number % 2])?;
            hub.push(&push)?;
            remaining.read_until("\"type\":18").with_context(|| format!("round {round}"))?;
        }
    }
    drop(remaining);
    wait_no_leak(&hub, before)
}

#[test]
fn handshake_too_large_or_endless_is_canceled() -> Result<()> {
    let hub = LocalHub::start("signalr.handshake_timeout = '3s'")?;
    for said in [
        fragment(opcode::TEXT, &vec![b' '; 1 << 20]),
        frame(opcode::TEXT, &[b'{'; 100]).repeat(1000),
        fragment(opcode::TEXT, b" ").into_iter().chain(fragment(opcode::CONTINUATION, b" ").repeat(40_000)).collect(),
        frame(opcode::PING, b"wait").repeat(2),
    ] {
        let mut client = RawClient::upgraded(&hub, USER)?;
        // The write fails if the hub closes the connection early.
        let _ = client.send(&said);
        let received = client.read_to_end()?;
        ensure!(String::from_utf8_lossy(&received).contains("Handshake was canceled."), "{received:x?}");
    }
    Ok(())
}

#[test]
fn message_over_the_size_limit_closes_with_error() -> Result<()> {
    let hub = LocalHub::start("")?;
    let padded = |length: usize| {
        let mut call = call(7);
        let padding = length - call.len();
        call.splice(1..1, std::iter::repeat_n(b' ', padding));
        call
    };
    for limit in [32 * 1024 - 1, 32 * 1024] {
        let mut client = RawClient::connected(&hub, USER)?;
        client.send(&frame(opcode::TEXT, &padded(limit)))?;
        client.read_until("\"invocationId\":\"7\"")?;
    }
    for said in [frame(opcode::TEXT, &padded(32 * 1024 + 1)), fragment(opcode::TEXT, &vec![b' '; 1 << 20])] {
        let mut client = RawClient::connected(&hub, USER)?;
        let _ = client.send(&said);
        let received = client.read_to_end().context("the close message was lost")?;
        ensure!(String::from_utf8_lossy(&received).contains("Connection closed with an error."), "{received:x?}");
    }
    Ok(())
}
