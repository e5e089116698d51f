//! A TCP proxy that delays requests to a server, and injects faults into HTTP.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;

/// The response to a rejected DELETE.
const UNAVAILABLE_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A proxy in front of a local port. Its threads end with the process.
pub struct Proxy {
    /// The address that it listens at.
    pub address: SocketAddr,
    faults: Arc<Faults>,
    clients: Arc<Mutex<Vec<Weak<TcpStream>>>>,
}

/// The faults that are injected.
#[derive(Default)]
struct Faults {
    rejects_deletes: AtomicBool,
    /// The path of the PUTs that are dropped, and how many.
    dropped_puts: Mutex<(&'static str, usize)>,
}

impl Faults {
    fn dropped_puts(&self) -> MutexGuard<'_, (&'static str, usize)> {
        self.dropped_puts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a request must be dropped, and counts it.
    fn should_drop(&self, request: &[u8]) -> bool {
        let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
        let mut dropped_puts = self.dropped_puts();
        let is_dropped = dropped_puts.1 > 0 && line.starts_with("PUT ") && line.contains(dropped_puts.0);
        dropped_puts.1 -= usize::from(is_dropped);
        is_dropped
    }
}

impl Proxy {
    /// Starts a proxy that delays each request.
    pub fn start(port: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Self { address: listener.local_addr()?, faults: Arc::default(), clients: Arc::default() };
        let (faults, clients) = (proxy.faults.clone(), proxy.clients.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let faults = faults.clone();
                let client = Arc::new(client);
                clients.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&client));
                // A failed connection is closed, which its client notices.
                std::thread::spawn(move || _ = forward(client, port, delay, &faults));
            }
        });
        Ok(proxy)
    }

    /// Answers each further DELETE with 503, or not any more.
    pub fn set_reject_deletes(&self, reject: bool) {
        self.faults.rejects_deletes.store(reject, Ordering::SeqCst);
    }

    /// Drops the next `count` PUTs of a path, without an answer.
    pub fn drop_puts(&self, path: &'static str, count: usize) {
        *self.faults.dropped_puts() = (path, count);
    }

    /// Returns how many PUTs are still to be dropped.
    pub fn puts_to_drop(&self) -> usize {
        self.faults.dropped_puts().1
    }

    /// Closes all open connections.
    pub fn cut_connections(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A connection that has ended needs no shutdown.
            let _ = client.upgrade().map(|client| client.shutdown(Shutdown::Both));
        }
    }
}

/// Forwards bytes in both directions until one side ends.
fn forward(client: Arc<TcpStream>, port: u16, delay: Duration, faults: &Faults) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_server, to_client) = (server.try_clone()?, client.clone());
    std::thread::spawn(move || {
        // These fail if one side has ended.
        let _ = std::io::copy(&mut from_server, &mut &*to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 65536];
    while let count @ 1.. = (&*client).read(&mut buffer)? {
        std::thread::sleep(delay);
        if faults.rejects_deletes.load(Ordering::SeqCst) && buffer.starts_with(b"DELETE ") {
            (&*client).write_all(UNAVAILABLE_RESPONSE)?;
        } else if faults.should_drop(&buffer[..count]) {
            continue;
        } else {
            server.write_all(&buffer[..count])?;
        }
    }
    Ok(server.shutdown(Shutdown::Write)?)
}
