//! Clients that send or read too slowly: they time out, use bounded memory, and do not delay other clients.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use notification_hub_tests::bench::{machine, memory};
use notification_hub_tests::frames::{fragment, frame, opcode};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::{NegotiatedClient, read_event};
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient};
use notification_hub_tests::{descriptors, programs, token, wait};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use uuid::Uuid;

const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two bytes of a slow sender.
const BYTE_INTERVAL: Duration = Duration::from_millis(50);
const CLOSED: &str = r#"notification_hub_connections_closed_total{reason="slow_consumer"}"#;
const QUEUED: &str = r#"notification_hub_slow_consumer_actions_total{action="queued"}"#;
const COALESCED: &str = r#"notification_hub_slow_consumer_actions_total{action="coalesced"}"#;
const RESET: &str = r#"notification_hub_slow_consumer_actions_total{action="reset"}"#;

/// Sends single bytes slowly until the hub closes the connection, and returns what the hub sent.
fn drip(stream: TcpStream, bytes: &[u8]) -> Result<String> {
    let mut writer = stream.try_clone()?;
    let bytes = bytes.to_vec();
    let dripping = std::thread::spawn(move || {
        for byte in bytes {
            if writer.write_all(&[byte]).is_err() {
                break;
            }
            std::thread::sleep(BYTE_INTERVAL);
        }
    });
    let (mut reader, mut received) = (stream, Vec::new());
    match reader.read_to_end(&mut received) {
        // Bytes that arrive after the close are answered with an RST.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => _ = other.context("the hub does not close the connection")?,
    }
    dripping.join().map_err(|_| anyhow::anyhow!("the dripping thread panicked"))?;
    Ok(String::from_utf8_lossy(&received).into_owned())
}

#[test]
fn byte_by_byte_sender_times_out_at_every_stage() -> Result<()> {
    let hub = LocalHub::start("signalr.handshake_timeout = '4s'")?;
    let user = Uuid::new_v4().to_string();
    let token = hub.token(&user, &[])?;
    let long = "x".repeat(1000);
    let speaker = NegotiatedClient::new(&hub)?;
    let internal = hub.signer().sign(&token::internal())?;
    let at = |address, bytes: &str| -> Result<TcpStream> {
        let mut connection = Connection::open(address)?;
        connection.write(bytes.as_bytes())?;
        Ok(connection.into_parts().0)
    };
    let open = |bytes: &str| at(hub.public, bytes);
    let upgraded = || -> Result<TcpStream> { Ok(hub.upgrade(Some(&token))?.1.into_parts().0) };
    let sending = || -> Result<TcpStream> {
        let mut connection = Connection::open(hub.internal)?;
        let head = format!("POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {internal}\r\n");
        connection.write(format!("{head}Content-Length: 1000\r\n\r\n").as_bytes())?;
        Ok(connection.into_parts().0)
    };
    let stages = [
        ("the head of an upgrade", open("")?, http::upgrade_request(&format!("/hub?{long}"), "hub", ""), ""),
        ("the head of a request", open("POST /hub/negotiate HTTP/1.1\r\n")?, format!("X: {long}"), ""),
        ("the head of a poll", open("")?, speaker.head("GET", &long), ""),
        ("the head of a request for events", open("GET /hub HTTP/1.1\r\nAccept: ")?, long.clone(), ""),
        ("the head of a push", at(hub.internal, "POST /send HTTP/1.1\r\n")?, format!("X: {long}"), ""),
        ("the head of a probe", at(hub.admin, "GET /healthz HTTP/1.1\r\n")?, format!("X: {long}"), ""),
        ("a line of the head of a probe", at(hub.admin, "")?, "\r\n".repeat(1000), ""),
        ("what is said by a POST", open(&speaker.head("POST", "Content-Length: 1000\r\n"))?, long.clone(), " 408 "),
        ("the body of a push", sending()?, long.clone(), " 408 "),
        ("a handshake", upgraded()?, format!("\u{3}{long}"), "\u{fffd}"),
        (
            "the header of a handshake's frame",
            {
                let mut stream = upgraded()?;
                stream.write_all(b"\x81\xff\0\0\0\0\0\0\0")?;
                stream
            },
            String::new(),
            "Handshake was canceled.",
        ),
        (
            "the payload of a handshake's frame",
            {
                let mut stream = upgraded()?;
                stream.write_all(b"\x81\xfe\x03\xe8\0\0\0\0")?;
                stream
            },
            format!("{{\"protocol\":\"{long}"),
            "Handshake was canceled.",
        ),
    ];
    std::thread::scope(|scope| {
        let began = Instant::now();
        let dripping = stages.map(|(what, stream, bytes, answer)| {
            scope.spawn(move || -> Result<()> {
                let received = drip(stream, bytes.as_bytes()).context(what)?;
                ensure!(received.contains(answer) && received.is_empty() == answer.is_empty(), "{what}: {received:?}");
                Ok(())
            })
        });
        while dripping.iter().any(|thread| !thread.is_finished()) {
            let asked = Instant::now();
            ensure!(http::get(hub.public, "/alive")?.status == 200);
            ensure!(asked.elapsed() < Duration::from_secs(5), "others waited {:?}", asked.elapsed());
            ensure!(began.elapsed() < WAIT_TIMEOUT, "a client did not time out");
            std::thread::sleep(BYTE_INTERVAL);
        }
        for thread in dripping {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        }
        Ok(())
    })
}

#[test]
fn slow_connected_client_is_answered_and_then_times_out() -> Result<()> {
    let hub = LocalHub::start("signalr = { handshake_timeout = '2s', client_timeout_interval = '2s' }")?;
    let user = Uuid::new_v4().to_string();
    let mut client = RawClient::connected(&hub, &user)?;
    // After a ping the client timeout applies, but each byte restarts it.
    client.send(&frame(opcode::TEXT, b"{\"type\":6}\x1e"))?;
    let call = b"{\"type\":1,\"invocationId\":\"0\",\"target\":\"Nope\",\"arguments\":[]}\x1e";
    for byte in frame(opcode::TEXT, call) {
        client.send(&[byte])?;
        std::thread::sleep(BYTE_INTERVAL);
    }
    client.read_until("\"invocationId\":\"0\"")?;
    client.read_until("Connection closed with an error.").context("the silent client was not closed")?;
    Ok(())
}

#[test]
fn slow_client_with_emptied_queue_is_pinged_again() -> Result<()> {
    // While the queue is not empty, the next timer of the client is in an hour.
    let hub = LocalHub::start(
        "slow_consumer.write_timeout = '1h'\nsignalr.keep_alive_interval = '1s'\ncatch_up.enabled = false",
    )?;
    let user = Uuid::new_v4().to_string();
    let mut client = RawClient::with_small_buffers(&hub, &user)?;
    fill_socket(&hub, &user)?;
    hub.push(&push(&user, 11, "the last", 0))?;
    client.read_until("the last")?;
    client.read_until("{\"type\":6}")?;
    client.read_until("{\"type\":6}")?;
    Ok(())
}

#[test]
fn unfinished_message_closes_its_connection_after_message_timeout() -> Result<()> {
    let hub = LocalHub::start("signalr.message_timeout = '2s'")?;
    let user = Uuid::new_v4().to_string();
    let whole = b"{\"type\":1,\"invocationId\":\"0\",\"target\":\"Nope\",\"arguments\":[]}\x1e";
    for begun in [
        frame(opcode::TEXT, b"{\"type\":1,"),
        fragment(opcode::TEXT, b"{\"type\":1,"),
        frame(opcode::TEXT, b"{\"type\":1,")[..7].to_vec(),
        [frame(opcode::TEXT, whole), frame(opcode::TEXT, b"{")].concat(),
    ] {
        let mut client = RawClient::connected(&hub, &user)?;
        client.send(&begun)?;
        // Further bytes of the message do not extend the timeout.
        let received = drip(client.try_clone()?.into_stream(), &[])?;
        ensure!(received.contains("Connection closed with an error."), "{received:?}");
    }
    // A client that completes messages is not closed, also if each frame has the beginning of the next message.
    let mut client = RawClient::connected(&hub, &user)?;
    let two = [&whole[..], &whole[..9]].concat();
    client.send(&frame(opcode::TEXT, &two))?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(BYTE_INTERVAL);
        client.send(&frame(opcode::TEXT, &[&whole[9..], &whole[..9]].concat()))?;
        client.read_until("\"invocationId\":\"0\"")?;
    }
    Ok(())
}

#[test]
fn anonymous_unfinished_message_above_1_kib_closes_the_connection() -> Result<()> {
    let hub = LocalHub::start("")?;
    let target = format!("/anonymous-hub?Token={}", Uuid::new_v4());
    let mut connection = Connection::open(hub.public)?;
    connection.write(http::upgrade_request(&target, "hub", "").as_bytes())?;
    ensure!(connection.response()?.status == 101);
    let mut client = RawClient::from(connection);
    client.send(&frame(opcode::TEXT, HANDSHAKE))?;
    client.read_until("{}")?;
    client.send(&fragment(opcode::TEXT, &[b' '; 1025]))?;
    client.read_until("Connection closed with an error.")?;
    Ok(())
}

#[test]
fn partial_request_heads_use_bounded_memory_and_time_out() -> Result<()> {
    const COUNT: usize = 9_000;
    const MAX_BYTES: u64 = 64 << 20;
    machine::raise_descriptor_limit(COUNT)?;
    let hub = LocalHub::start("")?;
    let bystander = Uuid::new_v4().to_string();
    let mut bystander_client = RawClient::connected(&hub, &bystander)?;
    let (before, open) = (memory::anonymous_bytes(hub.process.id())?, descriptors::count(hub.process.id())?);
    // All partial requests together exceed the limit.
    let half = format!("GET /hub?access_token={}", "x".repeat(9_000));
    let mut halves = Vec::new();
    for _ in 0..COUNT {
        let mut stream = TcpStream::connect(hub.public)?;
        stream.set_read_timeout(Some(WAIT_TIMEOUT))?;
        stream.write_all(half.as_bytes())?;
        halves.push(stream);
    }
    let asked = Instant::now();
    ensure!(http::get(hub.public, "/alive")?.status == 200);
    ensure!(asked.elapsed() < Duration::from_secs(5), "others waited {:?}", asked.elapsed());
    hub.push(&json!({ "type": 5, "payload": { "userId": bystander } }))?;
    bystander_client.read_until("\"type\":5")?;
    let taken = memory::anonymous_bytes(hub.process.id())?.saturating_sub(before);
    ensure!(taken < MAX_BYTES * 3 / 2, "the hub used {taken} bytes");
    for mut stream in halves {
        let mut received = Vec::new();
        match stream.read_to_end(&mut received) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            other => _ = other.context("a partial request did not time out")?,
        }
        ensure!(received.is_empty(), "{received:x?}");
    }
    wait::until("all resources are released", WAIT_TIMEOUT, || {
        let left = descriptors::count(hub.process.id())?;
        ensure!(left <= open, "{left} descriptors instead of {open}");
        Ok(())
    })
}

/// Returns a push of a type to a user, with a context of a name and padding of `length` bytes.
fn push(user: &str, kind: u8, context: &str, length: usize) -> Value {
    let context = format!("{context}{}", "x".repeat(length));
    json!({ "type": kind, "payload": { "userId": user }, "contextId": context })
}

/// Sends pushes until the socket of a user's client is full, so that later pushes are queued. Returns the number of pushes.
fn fill_socket(hub: &LocalHub, user: &str) -> Result<usize> {
    let (mut pushed, mut queued) = (0, 0);
    // One queued push is no proof, because a relay or the kernel may still take it.
    while queued < 10 {
        ensure!(pushed < 2000, "{pushed} pushes fit into the socket");
        let before = hub.metric(QUEUED)?;
        let length = if queued == 0 { 8_000 } else { 0 };
        hub.push(&push(user, 11, &format!("filler {pushed} "), length))?;
        pushed += 1;
        queued = if hub.metric(QUEUED)? > before { queued + 1 } else { 0 };
        if queued > 0 {
            std::thread::sleep(BYTE_INTERVAL);
        }
    }
    Ok(pushed)
}

/// Parses a message. Returns the type and the context without padding of a push, or `None` for another message.
fn parse_push(text: &str) -> Result<Option<(u64, String)>> {
    let text = text.strip_prefix("data: ").unwrap_or(text).trim_end_matches(['\r', '\n', '\u{1e}']);
    let message: Value = serde_json::from_str(text).with_context(|| format!("no message: {text:.100}"))?;
    let push = &message["arguments"][0];
    let context = push["contextId"].as_str().unwrap_or_default().trim_end_matches('x').to_owned();
    Ok(push["type"].as_u64().map(|kind| (kind, context)))
}

/// Sends pushes to a client that does not read until its queue is coalesced. Then reads, and compares with the expected pushes.
fn check_coalescing(hub: &LocalHub, user: &str, mut next: impl FnMut() -> Result<String>) -> Result<()> {
    let fillers = fill_socket(hub, user)?;
    let mut pushed: Vec<(u64, String)> = (0..fillers).map(|number| (11, format!("filler {number} "))).collect();
    let kinds = [(4, true), (11, false), (10, true), (6, false), (5, true), (22, false)];
    for number in 0..60 {
        let (kind, replaceable) = kinds[number % kinds.len()];
        hub.push(&push(user, kind, &format!("push {number} "), if replaceable { 6_000 } else { 500 }))?;
        pushed.push((kind.into(), format!("push {number} ")));
        if hub.metric(COALESCED)? > 0.0 {
            break;
        }
    }
    ensure!(hub.metric(COALESCED)? == 1.0, "no push was replaced");
    hub.push(&push(user, 11, "end ", 0))?;
    pushed.push((11, "end ".to_owned()));

    let mut received = Vec::new();
    while received.last() != pushed.last() {
        received.extend(parse_push(&next()?)?);
    }
    let place = received.iter().position(|push| *push == (5, String::new())).context("no sync was received")?;
    let missing: Vec<_> = pushed.iter().filter(|push| !received.contains(push)).cloned().collect();
    ensure!(!missing.is_empty() && missing.iter().all(|(kind, _)| matches!(kind, 4 | 5 | 10)), "{missing:?}");
    let first = pushed.iter().position(|push| *push == missing[0]).unwrap_or_default();
    // The sync replaces the first of the pushes that it covers. All other pushes arrive in order.
    let mut expected = pushed;
    expected[first] = (5, String::new());
    expected.retain(|push| !missing.contains(push));
    ensure!((received == expected) && place == first, "{received:?}\ninstead of\n{expected:?}");
    Ok(())
}

#[test]
fn slow_websocket_queue_coalesces_to_a_sync() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false")?;
    let user = Uuid::new_v4().to_string();
    let mut client = RawClient::with_small_buffers(&hub, &user)?;
    check_coalescing(&hub, &user, || client.read_until(""))
}

#[test]
fn slow_event_stream_queue_coalesces_to_a_sync() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false")?;
    let client = NegotiatedClient::new(&hub)?;
    let mut events = client.connect_events_with_small_buffers()?;
    check_coalescing(&hub, &client.user, || read_event(&mut events))
}

#[test]
fn slow_long_polling_queue_coalesces_to_a_sync() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false")?;
    let client = NegotiatedClient::new(&hub)?.connect_polling()?;
    let mut waiting = std::collections::VecDeque::new();
    check_coalescing(&hub, &client.user, || {
        while waiting.is_empty() {
            waiting.extend(client.poll()?.split_inclusive('\u{1e}').map(str::to_owned));
        }
        waiting.pop_front().context("nothing was received")
    })
}

#[test]
fn client_queue_above_the_limit_resets_the_client() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false")?;
    let user = Uuid::new_v4().to_string();
    let (stalled, mut fast) = (RawClient::with_small_buffers(&hub, &user)?, RawClient::connected(&hub, &user)?);
    let listening = std::thread::spawn(move || fast.read_until("the last").map(drop));
    fill_socket(&hub, &user)?;
    let mut more = 0;
    while hub.metric(CLOSED)? == 0.0 {
        hub.push(&push(&user, 11, "", 10_000))?;
        more += 1;
        // Bytes that the kernel has taken do not count for the queue.
        ensure!(more <= 64 / 10 + 10, "{more} pushes of 10 KB are queued");
    }
    ensure!(hub.metric(RESET)? == 1.0);
    ensure!(stalled.is_reset(), "it was not reset");
    hub.push(&push(&user, 11, "the last", 0))?;
    listening.join().map_err(|_| anyhow::anyhow!("the listener panicked"))?.context("another client was affected")
}

#[test]
fn blocked_websocket_is_reset_after_slow_consumer_timeout() -> Result<()> {
    let hub = LocalHub::start(
        "slow_consumer.write_timeout = '3s'\nsignalr.keep_alive_interval = '1s'\ncatch_up.enabled = false",
    )?;
    let user = Uuid::new_v4().to_string();
    let (stalled, mut fast) = (RawClient::with_small_buffers(&hub, &user)?, RawClient::connected(&hub, &user)?);
    let listening = std::thread::spawn(move || fast.read_until("the last").map(drop));
    fill_socket(&hub, &user)?;
    wait::until("it is reset", WAIT_TIMEOUT, || {
        ensure!(hub.metric(RESET)? == 1.0 && hub.metric(CLOSED)? == 1.0);
        Ok(())
    })?;
    ensure!(stalled.is_reset(), "it was not reset");
    ensure!(hub.metric_sum("notification_hub_connections")? == 1.0);
    hub.push(&push(&user, 11, "the last", 0))?;
    listening.join().map_err(|_| anyhow::anyhow!("the listener panicked"))?.context("another client was affected")
}

#[test]
fn blocked_event_stream_is_closed_after_slow_consumer_timeout() -> Result<()> {
    let hub = LocalHub::start("slow_consumer.write_timeout = '3s'\ncatch_up.enabled = false")?;
    let client = NegotiatedClient::new(&hub)?;
    let events = client.connect_events_with_small_buffers()?;
    fill_socket(&hub, &client.user)?;
    wait::until("the client is closed", WAIT_TIMEOUT, || {
        ensure!(hub.metric(RESET)? == 1.0);
        ensure!(hub.metric_sum("notification_hub_connections")? == 0.0);
        Ok(())
    })?;
    let (mut stream, _) = events.into_parts();
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        other => other.map(drop).context("its connection was not closed"),
    }
}

#[test]
fn clients_that_never_read_do_not_block_shutdown() -> Result<()> {
    let mut hub = LocalHub::start("drain.duration = '0s'")?;
    let (listener, poller) = (NegotiatedClient::new(&hub)?, NegotiatedClient::new(&hub)?.connect_polling()?);
    let user = Uuid::new_v4().to_string();
    let _events = listener.connect_events_with_small_buffers()?;
    let _websocket = RawClient::with_small_buffers(&hub, &user)?;
    fill_socket(&hub, &listener.user)?;
    for user in [&user, &poller.user] {
        for _ in 0..200 {
            hub.push(&push(user, 11, "", 40_000))?;
        }
    }
    let mut partial = RawClient::upgraded(&hub, &user)?;
    partial.send(&HANDSHAKE[..3])?;
    hub.process.signal(Signal::TERM)?;
    let status = hub.process.wait(WAIT_TIMEOUT)?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn unread_log_pipe_does_not_block_the_hub() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("test.secret");
    std::fs::write(&key, "x".repeat(40))?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(programs::find("notification-hub")?).arg("serve");
    command.env("NOTIFICATION_HUB__AUTH__KEYS", &key).env("NOTIFICATION_HUB__LOG__LEVEL", "debug");
    for port in ["PUBLIC", "INTERNAL", "ADMIN"] {
        command.env(format!("NOTIFICATION_HUB__LISTEN__{port}"), "127.0.0.1:0");
    }
    let mut hub = command.stdout(Stdio::piped()).spawn()?;
    // Read only up to the line with the addresses.
    let mut output = BufReader::with_capacity(1, hub.stdout.take().context("no output")?);
    let listening: Value = loop {
        let mut line = String::new();
        ensure!(output.read_line(&mut line)? > 0, "it has ended");
        if let Some(addresses) = serde_json::from_str::<Value>(&line)?.get_mut("listening") {
            break addresses.take();
        }
    };
    let address = |port: &str| listening[port].as_str().unwrap_or_default().parse().context("no address");
    let (public, admin) = (address("public")?, address("admin")?);
    // The log lines of these requests exceed the capacity of the pipe.
    for number in 0..1000 {
        let mut connection = Connection::open(public)?;
        connection.write(http::upgrade_request("/hub", "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 401, "{number}");
    }
    ensure!(http::get(public, "/alive")?.status == 200);
    ensure!(http::get(admin, "/healthz")?.status == 200);
    // The unread log does not block the shutdown.
    kill_process(Pid::from_child(&hub), Signal::TERM)?;
    let status = wait::until("it ends", WAIT_TIMEOUT, || hub.try_wait()?.context("not yet"))?;
    ensure!(status.success(), "{status}");
    Ok(())
}
