//! Plays mutated input against a hub and compares the answers with those of upstream (`hub/tests/contract/mutations/README.md`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::differences;
use super::player::Player;
use super::socket::{Socket, frame};
use crate::contract::hex;

/// Number of conversations that are played concurrently.
const CONCURRENT_CONVERSATIONS: usize = 16;

const TEXT: u8 = 0x81;

/// Bytes that are Base64 in the recording.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Bytes, base64::DecodeError> {
        BASE64_STANDARD.decode(text).map(Bytes)
    }
}

/// A request to `/send`, its status, and the messages that each listener received.
#[derive(Debug, Deserialize)]
pub(crate) struct Push {
    pub(crate) base: String,
    pub(crate) body: Bytes,
    pub(crate) status: u16,
    pub(crate) frames: BTreeMap<String, Vec<Bytes>>,
}

/// The frames that a client sent on one connection, and the answers that it received.
#[derive(Debug, Deserialize)]
pub(crate) struct Conversation {
    pub(crate) what: String,
    pub(crate) handshake: Bytes,
    pub(crate) proto: String,
    pub(crate) frames: Vec<(u8, Bytes)>,
    pub(crate) answers: Vec<String>,
}

/// The differences from the recorded answers.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The unintended differences, each with its input.
    failures: Vec<String>,
    /// The number of intended differences, by reason.
    differences: BTreeMap<&'static str, usize>,
}

impl Comparison {
    /// Adds the result of one input. `input` describes it in a failure.
    fn add(&mut self, result: Result<Option<&'static str>>, input: impl FnOnce() -> String) {
        match result {
            Ok(None) => {}
            Ok(Some(reason)) => *self.differences.entry(reason).or_default() += 1,
            Err(error) => self.failures.push(format!("{error:#}\n  {}", input())),
        }
    }

    /// Panics if an answer differs without a reason, or if a reason explains no difference.
    pub(crate) fn assert_explained(&self, reasons: &[&str]) {
        println!("{:#?}", self.differences);
        assert!(self.failures.is_empty(), "{} differ:\n{}", self.failures.len(), self.failures.join("\n"));
        for reason in reasons {
            assert!(self.differences.contains_key(reason), "nothing differs because {reason}");
        }
    }
}

/// Reads a file of the recording.
pub(crate) fn read<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/mutations").join(name);
    let text = std::fs::read_to_string(&path).expect("the recording is part of the repository");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of the recording")).collect()
}

/// Sends the pushes one after another. Frames that a rejected push delivers by mistake are found after the next accepted push.
pub(crate) fn play_pushes(player: &Player<'_>, pushes: &[Push]) -> Result<Comparison> {
    let mut listeners = listeners(player)?;
    let request = player.request(&json!({"method": "POST", "token": "internal"}), "{send}")?;
    let mut comparison = Comparison::default();
    for (index, push) in pushes.iter().enumerate() {
        let (_, response) = request.clone().with_body(push.body.0.clone()).exchange(player.hub.internal)?;
        let mut frames = BTreeMap::new();
        if response.status == 200 || index + 1 == pushes.len() {
            // The hub answers after it has written the push to every connection, so the pong follows the push.
            for (name, listener) in &mut listeners {
                let messages: Vec<Bytes> = listener.watch(0, Duration::ZERO, false)?.iter().map(message).collect();
                if !messages.is_empty() {
                    frames.insert((*name).to_owned(), messages);
                }
            }
        }
        comparison.add(differences::check_push(push, response.status, &frames), || {
            let answer = String::from_utf8_lossy(&response.body);
            format!("{}: {}\n  {answer}", push.base, String::from_utf8_lossy(&push.body.0))
        });
    }
    Ok(comparison)
}

/// Connects the listeners that the recording had.
fn listeners(player: &Player<'_>) -> Result<Vec<(&'static str, Socket)>> {
    let user = |claims: Value| json!({"token": {"kind": "user", "claims": claims}});
    let other = json!({
        "sub": "aaaaaaaa-0000-4000-8000-000000000001",
        "orgowner": "aaaaaaaa-0000-4000-8000-000000000002",
        "devicetype": "LinuxDesktop",
    });
    let anonymous = "{anonymous}?Token=eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee";
    let wanted = [
        ("json", "json", "{hub}", user(json!({}))),
        ("messagepack", "messagepack", "{hub}", user(json!({"devicetype": "ChromeExtension"}))),
        ("other user", "json", "{hub}", user(other)),
        ("anonymous", "json", anonymous, json!({})),
    ];
    let connect = |(name, protocol, path, step): (&'static str, &str, &str, Value)| {
        let (stream, response) = player.upgrade(&step, path)?;
        ensure!(response.status == 101, "{name}: {response:?}");
        let mut socket = Socket::new(stream);
        socket.perform_handshake(protocol)?;
        Ok((name, socket))
    };
    wanted.into_iter().map(connect).collect()
}

/// Returns the SignalR message of an entry, without its framing. Returns other entries as JSON, which equals no recorded message.
fn message(entry: &Value) -> Bytes {
    match (entry["text"].as_str(), entry["binary"].as_str()) {
        (Some(text), _) => Bytes(text.into()),
        (None, Some(digits)) => Bytes(hex(digits)),
        (None, None) => Bytes(entry.to_string().into()),
    }
}

/// Plays the conversations concurrently.
pub(crate) fn play_conversations(player: &Player<'_>, conversations: &[Conversation]) -> Comparison {
    let next = AtomicUsize::new(0);
    let comparison = Mutex::new(Comparison::default());
    std::thread::scope(|scope| {
        for _ in 0..CONCURRENT_CONVERSATIONS {
            scope.spawn(|| {
                while let Some(conversation) = conversations.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let answers = play_conversation(player, conversation);
                    let result = answers.and_then(|answers| differences::check_conversation(conversation, &answers));
                    comparison.lock().expect("no panic").add(result, || shown(conversation));
                }
            });
        }
    });
    comparison.into_inner().expect("no panic")
}

/// Plays a conversation. Returns the answers as the recording writes them.
fn play_conversation(player: &Player<'_>, conversation: &Conversation) -> Result<Vec<String>> {
    const INVOCATION: &str = r#"{"type":1,"invocationId":"Q","target":"Nope","arguments":[]}"#;
    const INVOCATION_IN_MESSAGEPACK: &[u8] = b"\x0b\x96\x01\x80\xa1Q\xa4Nope\x90\x90";
    let (stream, response) = player.upgrade(&json!({"token": "user"}), "{hub}")?;
    ensure!(response.status == 101, "{response:?}");
    let mut socket = Socket::new(stream);
    socket.write(&frame(TEXT, &conversation.handshake.0))?;
    let mut seen = socket.watch(0, Duration::ZERO, false)?;
    if !conversation.frames.is_empty() {
        for (opcode, payload) in &conversation.frames {
            socket.write(&frame(0x80 | opcode, &payload.0))?;
        }
        match conversation.proto.as_str() {
            "json" => socket.write(&frame(TEXT, format!("{INVOCATION}\u{1e}").as_bytes()))?,
            _ => socket.write(&frame(0x82, INVOCATION_IN_MESSAGEPACK))?,
        }
        seen.extend(socket.watch(0, Duration::ZERO, false)?);
    }
    Ok(seen.iter().map(as_recorded).collect())
}

/// Returns an entry as the recording writes it.
fn as_recorded(entry: &Value) -> String {
    let text = entry["text"].as_str().or(entry["binary"].as_str());
    text.map_or_else(|| format!("close {}", entry["close"]), str::to_owned)
}

fn shown(conversation: &Conversation) -> String {
    let sent = std::iter::once(&conversation.handshake).chain(conversation.frames.iter().map(|(_, payload)| payload));
    let sent: Vec<String> = sent.map(|Bytes(bytes)| bytes.escape_ascii().to_string()).collect();
    format!("{}: {}", conversation.what, sent.join(" | "))
}
