//! A WebSocket that never answers a Close or a Ping, and writes down what it sees as the recording does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use notification_hub::signalr::protocol::handshake::HANDSHAKE_OK;
use notification_hub::signalr::protocol::{Protocol, split_message};
use serde_json::{Value, json};

use super::http::DEADLINE;
use super::text::{expand, hex_of};
use crate::contract::hex;

/// What a client's text and binary messages are masked with.
const MASK: [u8; 4] = [0x5a, 0x01, 0xff, 0x80];

/// The payload of the pings that ask whether everything has been answered.
const FENCE: &[u8] = b"is this all?";

/// A WebSocket after its upgrade.
pub(crate) struct Socket {
    stream: TcpStream,
    seen: Vec<Value>,
    over: bool,
}

/// What one read brought.
enum Next {
    Frame(Value),
    Nothing,
    End,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Socket {
        Socket { stream, seen: Vec::new(), over: false }
    }

    /// Shakes hands and takes the answer away.
    pub(crate) fn shake_hands(&mut self, protocol: &str) -> Result<()> {
        let hello = format!("{{\"protocol\":\"{protocol}\",\"version\":1}}\u{1e}");
        self.write(&frame(0x81, hello.as_bytes()))?;
        let seen = self.watch(1, Duration::ZERO, false)?;
        let answer = if protocol == "json" { json!({"text": "{}"}) } else { json!({"binary": "7b7d1e"}) };
        ensure!(seen == [answer], "the handshake was answered with {seen:?}");
        Ok(())
    }

    /// Sends what a step describes.
    pub(crate) fn send(&mut self, described: &Value) -> Result<()> {
        let bytes = if let Some(text) = described["text"].as_str() {
            frame(0x81, expand(text).as_bytes())
        } else if let Some(digits) = described["binary"].as_str() {
            frame(0x82, &hex(&expand(digits)))
        } else {
            hex(&expand(described["raw"].as_str().context("a frame of an unknown kind")?))
        };
        self.write(&bytes)
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.write_all(bytes) {
            // The hub may have hung up in the middle of a message that is too long; what it said is still to be read.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            result => result.context("writing"),
        }
    }

    /// Everything since the last watch: as many entries as are expected, or none for so long, and then all that comes
    /// before the answer to a ping, by which the hub shows that there is nothing left to say.
    pub(crate) fn watch(&mut self, expected: usize, silence: Duration, pings: bool) -> Result<Vec<Value>> {
        let begun = Instant::now();
        let patience = if expected == 0 { silence } else { silence.max(DEADLINE) };
        while !self.over && (expected == 0 || self.count(pings) < expected) && begun.elapsed() < patience {
            self.step(patience.saturating_sub(begun.elapsed()))?;
        }
        if !self.over {
            self.write(&frame(0x89, FENCE))?;
        }
        while !self.over && self.seen.last() != Some(&json!({"pong": hex_of(FENCE)})) {
            ensure!(begun.elapsed() < patience + DEADLINE, "the hub answers no ping after {:?}", self.seen);
            self.step(DEADLINE)?;
        }
        let mut seen = std::mem::take(&mut self.seen);
        seen.retain(|entry| counts(entry, pings));
        Ok(seen)
    }

    fn count(&self, pings: bool) -> usize {
        self.seen.iter().filter(|entry| counts(entry, pings)).count()
    }

    fn step(&mut self, patience: Duration) -> Result<()> {
        match self.next(patience)? {
            Next::Frame(entry) => self.seen.push(entry),
            Next::Nothing => {}
            Next::End => self.over = true,
        }
        Ok(())
    }

    /// Reads a frame.
    fn next(&mut self, patience: Duration) -> Result<Next> {
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut first = [0];
        match self.stream.read(&mut first) {
            Ok(0) => return Ok(Next::End),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(Next::Nothing);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Next::End),
            Err(error) => return Err(error.into()),
        }
        self.stream.set_read_timeout(Some(DEADLINE))?;
        entry(first[0], &mut self.stream).map(Next::Frame)
    }
}

/// Reads the frame that this byte begins: what is written down of it. A server's is never masked and never fragmented.
pub(crate) fn entry(first: u8, stream: &mut impl Read) -> Result<Value> {
    let mut length = [0];
    stream.read_exact(&mut length)?;
    let [length] = length;
    ensure!(first & 0xf0 == 0x80 && length & 0x80 == 0, "a frame that begins with {first:02x} {length:02x}");
    let wide = match length {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mut length = u64::from(length);
    if wide > 0 {
        let mut bytes = [0; 8];
        stream.read_exact(&mut bytes[8 - wide..])?;
        length = u64::from_be_bytes(bytes);
    }
    let mut payload = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut payload)?;
    Ok(match first & 0x0f {
        // The original may put several messages into one of WebSocket; ours is one each.
        0x1 => {
            let text = std::str::from_utf8(&payload)?.strip_suffix('\u{1e}').filter(|text| !text.contains('\u{1e}'));
            json!({ "text": text.with_context(|| format!("no single message: {payload:?}"))? })
        }
        0x2 if payload == HANDSHAKE_OK => json!({ "binary": hex_of(&payload) }),
        0x2 => {
            let message = split_message(Protocol::MessagePack, &payload, usize::MAX)?;
            let (body, _) = message
                .filter(|(_, taken)| *taken == payload.len())
                .with_context(|| format!("no single message: {}", hex_of(&payload)))?;
            json!({ "binary": hex_of(body) })
        }
        0x8 => json!({ "close": payload.iter().fold(0u32, |code, byte| code << 8 | u32::from(*byte)) }),
        0xa => json!({ "pong": hex_of(&payload) }),
        other => bail!("opcode {other}"),
    })
}

/// What a watch reports: not our own fence, not the Heartbeat, and pings only where they are asked for.
fn counts(entry: &Value, pings: bool) -> bool {
    let ping = *entry == json!({"text": "{\"type\":6}"}) || *entry == json!({"binary": "9106"});
    let heartbeat = entry["text"].as_str().is_some_and(|text| text.contains("\"target\":\"Heartbeat\""));
    *entry != json!({"pong": hex_of(FENCE)}) && !heartbeat && (pings || !ping)
}

/// A frame of a client.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0xfe);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0xff);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
