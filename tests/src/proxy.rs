//! A TCP proxy for HTTP that makes a server seem far away, or unwilling.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::Result;

/// What it says instead of a server that is unwilling.
const UNWILLING: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

/// A proxy in front of a port of this machine; it lasts as long as the process.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    manners: Arc<Manners>,
    clients: Arc<Mutex<Vec<Weak<TcpStream>>>>,
}

/// What it does instead of passing requests on.
#[derive(Default)]
struct Manners {
    refuses_deletions: AtomicBool,
    /// Below which path it swallows PUTs, and how many.
    swallows: Mutex<(&'static str, usize)>,
}

impl Manners {
    fn swallows(&self) -> MutexGuard<'_, (&'static str, usize)> {
        self.swallows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is swallowed, which counts.
    fn swallow(&self, request: &[u8]) -> bool {
        let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
        let mut swallows = self.swallows();
        let swallow = swallows.1 > 0 && line.starts_with("PUT ") && line.contains(swallows.0);
        swallows.1 -= usize::from(swallow);
        swallow
    }
}

impl Proxy {
    /// Starts one that holds back every request for so long, however many connections there are.
    pub fn start(port: u16, late: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let proxy = Self { address: listener.local_addr()?, manners: Arc::default(), clients: Arc::default() };
        let (manners, clients) = (proxy.manners.clone(), proxy.clients.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let manners = manners.clone();
                let client = Arc::new(client);
                clients.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&client));
                // A connection that fails is closed: its client sees that.
                std::thread::spawn(move || _ = join(client, port, late, &manners));
            }
        });
        Ok(proxy)
    }

    /// Whether every DELETE is answered 503 from now on, by the proxy itself.
    pub fn refuse_deletions(&self, refuse: bool) {
        self.manners.refuses_deletions.store(refuse, Ordering::SeqCst);
    }

    /// Never answers the next so many PUTs below a path.
    pub fn swallow_puts(&self, path: &'static str, count: usize) {
        *self.manners.swallows() = (path, count);
    }

    /// How many PUTs are still to be swallowed.
    pub fn to_swallow(&self) -> usize {
        self.manners.swallows().1
    }

    /// Cuts the connections that there are.
    pub fn cut(&self) {
        for client in self.clients.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that has ended is cut already.
            let _ = client.upgrade().map(|client| client.shutdown(Shutdown::Both));
        }
    }
}

fn join(client: Arc<TcpStream>, port: u16, late: Duration, manners: &Manners) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", port))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_server, to_client) = (server.try_clone()?, client.clone());
    std::thread::spawn(move || {
        // Fails only where an end has been seen.
        let _ = std::io::copy(&mut from_server, &mut &*to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let mut buffer = [0; 65536];
    while let count @ 1.. = (&*client).read(&mut buffer)? {
        std::thread::sleep(late);
        if manners.refuses_deletions.load(Ordering::SeqCst) && buffer.starts_with(b"DELETE ") {
            (&*client).write_all(UNWILLING)?;
        } else if manners.swallow(&buffer[..count]) {
            continue;
        } else {
            server.write_all(&buffer[..count])?;
        }
    }
    Ok(server.shutdown(Shutdown::Write)?)
}
