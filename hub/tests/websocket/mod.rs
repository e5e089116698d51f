//! WebSocket conformance. Plays each case of the table against the codec alone and against a running hub.

// A table with one case a line.
#[rustfmt::skip]
mod cases;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub::signalr::{SessionConfig, Tick, Transport};
use notification_hub::websocket::{Outgoing, WebSocket};
use serde_json::{Value, json};

use crate::CONCURRENT_CASES;
use crate::contract::{file, hex};
use crate::recorded::http::Request;
use crate::recorded::hub::Hub;
use crate::recorded::issuer;
use crate::recorded::socket::{Socket, entry, frame};
use cases::Case;

/// Maximum size of a case that is also sent byte by byte.
const MAX_BYTEWISE_SIZE: usize = 1000;

const HANDSHAKE_REQUEST: &[u8] = b"{\"protocol\":\"json\",\"version\":1}\x1e";

const SESSION_CONFIG: SessionConfig = SessionConfig {
    handshake_timeout: 150,
    keep_alive_interval: 150,
    client_timeout_interval: 300,
    message_timeout: 300,
    maximum_receive_message_size: 32 * 1024,
};

#[test]
fn websocket_codec_passes_every_conformance_case() {
    for case in cases::all() {
        let (first, second) = case.sent.split_at(case.sent.len() / 2);
        let mut splits: Vec<Vec<&[u8]>> = vec![vec![&case.sent], vec![first, second]];
        if case.sent.len() <= MAX_BYTEWISE_SIZE {
            splits.push(case.sent.chunks(1).collect());
        }
        for pieces in splits {
            let answers = run_codec(&pieces).expect("frames");
            assert_eq!(in_table_words(&answers), case.expected, "{} in {} pieces", case.name, pieces.len());
        }
    }
}

/// Runs the codec on the pieces after a handshake. Returns the entries of its frames after the handshake response.
fn run_codec(pieces: &[&[u8]]) -> Result<Vec<Value>> {
    let mut websocket = WebSocket::new(Transport::WebSockets, Tick(0));
    let mut outgoing = Outgoing::default();
    let handshake = frame(0x81, HANDSHAKE_REQUEST);
    for piece in [handshake.as_slice()].iter().chain(pieces) {
        if websocket.receive(&mut piece.to_vec(), Tick(0), &SESSION_CONFIG, &mut outgoing).is_some() {
            break;
        }
    }
    let mut rest = outgoing.bytes.as_slice();
    let mut answers = Vec::new();
    while let Some((first, remaining)) = rest.split_first() {
        rest = remaining;
        answers.push(entry(*first, &mut rest)?);
    }
    ensure!(answers.remove(0) == json!({ "text": "{}" }), "no handshake response");
    Ok(answers)
}

#[test]
fn running_hub_passes_every_websocket_conformance_case() {
    let hub = Hub::start("").expect("a hub");
    // The anonymous hub needs no token, but its maximum message size is smaller.
    let token = issuer::token(&json!("user"), &file("recorded.json")["meta"]["tokens"]).expect("a token");
    let cases = cases::all();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENT_CASES {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = play(case, hub.public, &token) {
                        failures.lock().expect("no panic").push(format!("{}: {error:#}", case.name));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), failures.join("\n"));
    println!("{} cases", cases.len());
}

fn play(case: &Case, address: SocketAddr, token: &str) -> Result<()> {
    let expected = if case.expected.is_empty() { 0 } else { case.expected.split(", ").count() };
    let sizes: &[usize] = if case.sent.len() <= MAX_BYTEWISE_SIZE { &[MAX_BYTEWISE_SIZE, 1] } else { &[997] };
    for size in sizes {
        let mut socket = open(address, token)?;
        case.sent.chunks(*size).try_for_each(|piece| socket.write(piece))?;
        let seen = socket.watch(expected, Duration::ZERO, false)?;
        let seen = in_table_words(&seen);
        ensure!(seen == case.expected, "seen {seen:?}, expected {:?}, in pieces of {size}", case.expected);
    }
    Ok(())
}

/// Connects a client and performs the handshake.
fn open(address: SocketAddr, token: &str) -> Result<Socket> {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Host", "localhost"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let request = Request { method: "GET".to_owned(), target: "/hub".to_owned(), headers, body: None };
    let (stream, response) = request.exchange(address)?;
    ensure!(response.status == 101 && response.headers.is_empty(), "{response:?}");
    stream.set_nodelay(true)?;
    let mut socket = Socket::new(stream);
    socket.perform_handshake("json")?;
    Ok(socket)
}

/// Describes entries in the words of the table.
fn in_table_words(entries: &[Value]) -> String {
    entries.iter().map(|entry| in_words(entry).unwrap_or_else(|| entry.to_string())).collect::<Vec<_>>().join(", ")
}

fn in_words(entry: &Value) -> Option<String> {
    if let Some(code) = entry["close"].as_u64() {
        return Some(format!("close {code}"));
    }
    if let Some(digits) = entry["pong"].as_str() {
        return Some(format!("pong {}", hex(digits).escape_ascii()));
    }
    let message: Value = serde_json::from_str(entry["text"].as_str()?).ok()?;
    match message["type"].as_u64()? {
        3 if message["invocationId"] == "7" => {
            let (_, rest) = message["error"].as_str()?.split_once('\'')?;
            let (target, _) = rest.rsplit_once('\'')?;
            Some(format!("answer {target}"))
        }
        7 if message["error"].is_string() => Some("SignalR Close with error".to_owned()),
        7 => Some("SignalR Close".to_owned()),
        _ => None,
    }
}
