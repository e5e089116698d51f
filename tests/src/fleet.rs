//! Clients that reconnect as Bitwarden's do (`bitwarden.md` 1.3): after a random delay of 2 to 5 minutes. After two failed
//! connects they stop until the user returns. Their delays are shortened. Each client has a thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::http::{self, Connection};
use crate::ledger::{Event, Ledger};

/// The minimum and the maximum delay before a reconnect.
const RECONNECT_DELAY: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(300));

/// The interval at which a client checks whether it must end or restart. It is long because thousands of clients share the CPUs.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The state that all clients share.
struct Shared {
    hub: SocketAddr,
    /// The divisor of the delays of official clients.
    speed: u32,
    ledger: Mutex<Ledger>,
    /// Whether the clients must end.
    over: AtomicBool,
    /// Whether clients that have stopped connect again.
    restarted: AtomicBool,
}

/// Running clients, numbered from 0.
pub struct Fleet {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts a client for each token.
    pub fn start(hub: SocketAddr, tokens: Vec<String>, speed: u32) -> Self {
        let (over, restarted) = (AtomicBool::new(false), AtomicBool::new(false));
        let shared = Arc::new(Shared { hub, speed, ledger: Mutex::default(), over, restarted });
        let spawn = |(number, token): (usize, String)| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.run_client(number, &token))
        };
        let threads = tokens.into_iter().enumerate().map(spawn).collect();
        Self { shared, threads }
    }

    /// Returns the events so far.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Restarts clients that have stopped after failed connects, as their users would.
    pub fn restart_stopped_clients(&self) {
        self.shared.restarted.store(true, Ordering::Relaxed);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A client that panicked has ended too.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Runs a client until the fleet is dropped.
    fn run_client(&self, number: usize, token: &str) {
        let mut failures = 0;
        let mut random = number as u64;
        while !self.is_over() {
            failures = if self.connect(number, token).is_ok_and(|opened| opened) { 0 } else { failures + 1 };
            self.record(number, Event::Closed);
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let share = (random >> 40) as f64 / (1u64 << 24) as f64;
            let delay = (RECONNECT_DELAY.0 + (RECONNECT_DELAY.1 - RECONNECT_DELAY.0).mul_f64(share)) / self.speed;
            let until = Instant::now() + delay;
            while !self.is_over() && (Instant::now() < until || (failures >= 2 && !self.is_restarted())) {
                std::thread::sleep(CHECK_INTERVAL.min(delay));
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn is_restarted(&self) -> bool {
        self.restarted.load(Ordering::Relaxed)
    }

    fn record(&self, number: usize, event: Event) {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).record(number, Instant::now(), event);
    }

    /// Connects and reads until the connection ends. Returns whether the handshake succeeded.
    fn connect(&self, number: usize, token: &str) -> Result<bool> {
        let mut connection = Connection::open(self.hub)?;
        let target = format!("/hub?access_token={token}");
        connection.write(http::upgrade_request(&target, "hub", "").as_bytes())?;
        ensure!(connection.response()?.status == 101, "refused");
        let (mut stream, mut bytes) = connection.into_parts();
        stream.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
        stream.set_read_timeout(Some(CHECK_INTERVAL))?;
        let mut opened = false;
        while self.read(&mut stream, &mut bytes)? {
            while let Some(message) = take_message(&mut bytes)? {
                if !opened {
                    opened = true;
                    self.record(number, Event::Opened);
                } else if let Some(event) = parse_event(&message) {
                    self.record(number, event);
                }
            }
        }
        Ok(opened)
    }

    /// Reads bytes once. Returns `false` if the connection has ended or the client must end.
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

/// Removes the next message from the bytes and returns it without its separator, or `None` if it is not complete.
fn take_message(bytes: &mut Vec<u8>) -> Result<Option<String>> {
    let (head, length) = match bytes.as_slice() {
        [_, length @ 0..=125, ..] => (2, usize::from(*length)),
        [_, 126, high, low, ..] => (4, usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 127, ..] => bail!("a frame longer than any push of these tests"),
        _ => return Ok(None),
    };
    if bytes.len() < head + length {
        return Ok(None);
    }
    let payload: Vec<u8> = bytes.drain(..head + length).skip(head).collect();
    Ok(Some(String::from_utf8_lossy(&payload).trim_end_matches('\u{1e}').to_owned()))
}

/// Returns the event of a message, or `None` for a ping or a heartbeat.
fn parse_event(message: &str) -> Option<Event> {
    let message: Value = serde_json::from_str(message).ok()?;
    let push = message["arguments"].get(0)?;
    match push["contextId"].as_str() {
        Some(id) => Some(Event::Received(id.to_owned())),
        None => (push["type"] == 5).then_some(Event::Synced),
    }
}
