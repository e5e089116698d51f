//! A WebSocket client that never answers a Close or a Ping. It notes received frames as the recording does.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use notification_hub::signalr::protocol::handshake::HANDSHAKE_OK;
use notification_hub::signalr::protocol::{Protocol, split_message};
use serde_json::{Value, json};

use super::http::TIMEOUT;
use super::text::{expand, hex_of};
use crate::contract::hex;

/// The masking key of all frames.
const MASK: [u8; 4] = [0x5a, 0x01, 0xff, 0x80];

/// The payload of the ping at the end of a watch. The hub answers in order, so its pong follows all earlier answers.
const LAST_PING: &[u8] = b"last ping";

/// A WebSocket after its upgrade.
pub(crate) struct Socket {
    stream: TcpStream,
    seen: Vec<Value>,
    closed: bool,
}

/// The result of one read.
enum ReadOutcome {
    Frame(Value),
    TimedOut,
    Closed,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Socket {
        Socket { stream, seen: Vec::new(), closed: false }
    }

    /// Performs the SignalR handshake.
    pub(crate) fn perform_handshake(&mut self, protocol: &str) -> Result<()> {
        let request = format!("{{\"protocol\":\"{protocol}\",\"version\":1}}\u{1e}");
        self.write(&frame(0x81, request.as_bytes()))?;
        let seen = self.watch(1, Duration::ZERO, false)?;
        let answer = if protocol == "json" { json!({"text": "{}"}) } else { json!({"binary": "7b7d1e"}) };
        ensure!(seen == [answer], "the handshake was answered with {seen:?}");
        Ok(())
    }

    /// Sends the frame that a step describes.
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

    /// Sends bytes unchanged.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.write_all(bytes) {
            // The hub may have closed the connection during a message that is too long. Its last frames can still be read.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            result => result.context("writing"),
        }
    }

    /// Returns the frames since the last watch. Waits for `expected` frames, or for `silence` if it expects none. Then sends a
    /// ping and reads until its pong. `pings` includes SignalR pings.
    pub(crate) fn watch(&mut self, expected: usize, silence: Duration, pings: bool) -> Result<Vec<Value>> {
        let begun = Instant::now();
        let timeout = if expected == 0 { silence } else { silence.max(TIMEOUT) };
        while !self.closed && (expected == 0 || self.count(pings) < expected) && begun.elapsed() < timeout {
            self.read_next(timeout.saturating_sub(begun.elapsed()))?;
        }
        if !self.closed {
            self.write(&frame(0x89, LAST_PING))?;
        }
        while !self.closed && self.seen.last() != Some(&json!({"pong": hex_of(LAST_PING)})) {
            ensure!(begun.elapsed() < timeout + TIMEOUT, "the hub answers no ping after {:?}", self.seen);
            self.read_next(TIMEOUT)?;
        }
        let mut seen = std::mem::take(&mut self.seen);
        seen.retain(|entry| is_reported(entry, pings));
        Ok(seen)
    }

    fn count(&self, pings: bool) -> usize {
        self.seen.iter().filter(|entry| is_reported(entry, pings)).count()
    }

    fn read_next(&mut self, timeout: Duration) -> Result<()> {
        match self.read_frame(timeout)? {
            ReadOutcome::Frame(entry) => self.seen.push(entry),
            ReadOutcome::TimedOut => {}
            ReadOutcome::Closed => self.closed = true,
        }
        Ok(())
    }

    /// Reads a frame, which must begin before the timeout.
    fn read_frame(&mut self, timeout: Duration) -> Result<ReadOutcome> {
        self.stream.set_read_timeout(Some(timeout.max(Duration::from_millis(1))))?;
        let mut first = [0];
        match self.stream.read(&mut first) {
            Ok(0) => return Ok(ReadOutcome::Closed),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(ReadOutcome::TimedOut);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(ReadOutcome::Closed),
            Err(error) => return Err(error.into()),
        }
        self.stream.set_read_timeout(Some(TIMEOUT))?;
        entry(first[0], &mut self.stream).map(ReadOutcome::Frame)
    }
}

/// Reads the rest of a frame of a server after its first byte. Returns its entry. A server never masks and never fragments.
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
        // Upstream may put several SignalR messages into a WebSocket message. This hub puts one into each.
        0x1 => {
            let text = std::str::from_utf8(&payload)?.strip_suffix('\u{1e}').filter(|text| !text.contains('\u{1e}'));
            json!({ "text": text.with_context(|| format!("not exactly one message: {payload:?}"))? })
        }
        0x2 if payload == HANDSHAKE_OK => json!({ "binary": hex_of(&payload) }),
        0x2 => {
            let message = split_message(Protocol::MessagePack, &payload, usize::MAX)?;
            let (body, _) = message
                .filter(|(_, taken)| *taken == payload.len())
                .with_context(|| format!("not exactly one message: {}", hex_of(&payload)))?;
            json!({ "binary": hex_of(body) })
        }
        0x8 => json!({ "close": payload.iter().fold(0u32, |code, byte| code << 8 | u32::from(*byte)) }),
        0xa => json!({ "pong": hex_of(&payload) }),
        other => bail!("opcode {other}"),
    })
}

/// Returns whether a watch reports an entry. It leaves out the last pong, `Heartbeat` invocations, and pings unless requested.
fn is_reported(entry: &Value, pings: bool) -> bool {
    let is_ping = *entry == json!({"text": "{\"type\":6}"}) || *entry == json!({"binary": "9106"});
    let is_heartbeat = entry["text"].as_str().is_some_and(|text| text.contains("\"target\":\"Heartbeat\""));
    *entry != json!({"pong": hex_of(LAST_PING)}) && !is_heartbeat && (pings || !is_ping)
}

/// Encodes a frame of a client. `first` is its first byte.
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
