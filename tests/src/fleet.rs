//! Clients that reconnect as Bitwarden's do: after a random wait of 2 to 5 minutes, and after two failed starts no more,
//! until somebody comes back to them (`bitwarden.md` 1.3). Their clock runs faster.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::http::{self, Connection};
use crate::ledger::{Event, Log};

/// Between which times a client waits before it connects again.
const WAIT: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(300));

/// How long a client may be deaf to its end; thousands may share the processors.
const LOOK: Duration = Duration::from_millis(500);

/// What is common to all clients.
struct Shared {
    hub: SocketAddr,
    /// How many times faster than the official clients' clocks theirs are.
    speed: u32,
    log: Mutex<Log>,
    over: AtomicBool,
    /// Whoever has given up tries again.
    revived: AtomicBool,
}

/// Running clients, numbered from nought.
pub struct Fleet {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts a client for each token.
    pub fn start(hub: SocketAddr, tokens: Vec<String>, speed: u32) -> Self {
        let (over, revived) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { hub, speed, log: Mutex::default(), over, revived });
        let follow = |(number, token): (usize, String)| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.follow(number, &token))
        };
        let threads = tokens.into_iter().enumerate().map(follow).collect();
        Self { shared, threads }
    }

    /// What was noticed so far.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Users come back to clients that have given up.
    pub fn revive(&self) {
        self.shared.revived.store(true, Ordering::Relaxed);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that has panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn follow(&self, number: usize, token: &str) {
        let mut failures = 0;
        let mut random = number as u64;
        while !self.is_over() {
            failures = if self.connect(number, token).is_ok_and(|opened| opened) { 0 } else { failures + 1 };
            self.note(number, Event::Closed);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (random >> 40) as f64 / (1u64 << 24) as f64;
            let wait = (WAIT.0 + (WAIT.1 - WAIT.0).mul_f64(share)) / self.speed;
            let until = Instant::now() + wait;
            while !self.is_over() && (Instant::now() < until || (failures >= 2 && !self.is_revived())) {
                std::thread::sleep(LOOK.min(wait));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn is_revived(&self) -> bool {
        self.revived.load(Ordering::Relaxed)
    }

    fn note(&self, number: usize, event: Event) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).note(number, Instant::now(), event);
    }

    /// One connection, from its start to its end; whether it was opened.
    fn connect(&self, number: usize, token: &str) -> Result<bool> {
        let mut connection = Connection::open(self.hub)?;
        let target = format!("/hub?access_token={token}");
        connection.write(http::upgrade(&target, "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 101, "refused");
        let (mut stream, mut bytes) = connection.into_parts();
        stream.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
        stream.set_read_timeout(Some(LOOK))?;
        let mut opened = false;
        while self.read(&mut stream, &mut bytes)? {
            while let Some(message) = message(&mut bytes)? {
                if !opened {
                    opened = true;
                    self.note(number, Event::Opened);
                } else if let Some(event) = event(&message) {
                    self.note(number, event);
                }
            }
        }
        Ok(opened)
    }

    /// Reads what has come; false at the end.
    fn read(&self, stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<bool> {
        let mut buffer = [0; 16 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // A server that was killed resets its connections.
            Err(_) => return Ok(false),
        }
        Ok(!self.is_over())
    }
}

/// The next whole text message, without its separator.
fn message(bytes: &mut Vec<u8>) -> Result<Option<String>> {
    let (head, length) = match bytes.as_slice() {
        [_, length @ 0..=125, ..] => (2, usize::from(*length)),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 127, ..] => bail!("a frame that no hub of this test sends"),
        _ => return Ok(None),
    };
    if bytes.len() < head + length {
        return Ok(None);
    }
    let payload: Vec<u8> = bytes.drain(..head + length).skip(head).collect();
    Ok(Some(String::from_utf8_lossy(&payload).trim_end_matches('\u{1e}').to_owned()))
}

/// What a message means to the ledger; pings and heartbeats mean nothing.
fn event(message: &str) -> Option<Event> {
    let message: Value = serde_json::from_str(message).ok()?;
    let push = message["arguments"].get(0)?;
    match push["contextId"].as_str() {
        Some(id) => Some(Event::Heard(id.to_owned())),
        None => (push["type"] == 5).then_some(Event::Synced),
    }
}
