//! A port without WebSockets: the internal port for senders and the admin port. Served by axum on the tokio worker.
//!
//! The number of connections is bounded. At the bound, the connection that has been idle longest is closed.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error_response::ErrorResponse;
use super::exchange::{ExchangeOutcome, HttpExchange};
use super::headers::{ERROR_LINGER, KEEP_ALIVE_TIMEOUT, REQUEST_HEAD_TIMEOUT};
use super::plain_http::REQUEST_TIMEOUT;
use super::request_budget::RequestBudget;
use super::request_head::{MAX_HEAD_BYTES, PlainRequest, RequestHead, header_storage, too_large};
use crate::observability::LogLimiter;

/// The delay after a failed accept.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves routes on a listener, with at most `max_connections` connections. After `end`, accepts no more connections and finishes
/// when the last response is written.
///
/// # Errors
/// Returns an error if the listener cannot be registered with the runtime.
pub fn serve(
    listener: std::net::TcpListener,
    router: Router,
    max_connections: usize,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let listener = TcpListener::from_std(listener)?;
    let port =
        Arc::new(Port { router, permits: Arc::new(Semaphore::new(max_connections)), idle: IdleConnections::default() });
    Ok(tokio::spawn(port.run(listener, end)))
}

struct Port {
    router: Router,
    permits: Arc<Semaphore>,
    idle: IdleConnections,
}

impl Port {
    async fn run(self: Arc<Self>, listener: TcpListener, end: impl Future<Output = ()>) {
        let (mut served, mut end, log_limiter) = (JoinSet::new(), pin!(end), LogLimiter::default());
        loop {
            while served.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut end => break,
            };
            match accepted {
                Ok((socket, peer)) => {
                    let permit = tokio::select! {
                        permit = self.acquire_permit() => permit,
                        () = &mut end => break,
                    };
                    served.spawn(self.clone().serve_connection(socket, peer.ip(), permit));
                }
                Err(error) => {
                    if let Some(suppressed) = log_limiter.allow() {
                        tracing::warn!(%error, suppressed, "connection cannot be accepted");
                    }
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(listener);
        self.idle.close_all();
        while served.join_next().await.is_some() {}
    }

    /// Waits for a permit. Without a free one, closes the connection that has been idle longest.
    async fn acquire_permit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                return Some(permit);
            }
            self.idle.evict_oldest();
            tokio::select! {
                permit = self.permits.clone().acquire_owned() => return permit.ok(),
                () = self.idle.added.notified() => {}
            }
        }
    }

    /// Serves the requests of one connection.
    async fn serve_connection(
        self: Arc<Self>,
        mut socket: TcpStream,
        peer: IpAddr,
        _permit: Option<OwnedSemaphorePermit>,
    ) {
        let (mut read, mut read_timeout) = (Vec::new(), REQUEST_HEAD_TIMEOUT);
        let (socket, final_bytes) = loop {
            let next = self.idle.run_evictable(next_request(&mut socket, &mut read, read_timeout)).await;
            let request = match next.flatten() {
                Some(Ok(request)) => request,
                Some(Err(error_response)) => break (socket, error_response.bytes()),
                None => return,
            };
            let budget = RequestBudget::new(peer, None, REQUEST_TIMEOUT);
            match (HttpExchange { socket, read, request }).serve(self.router.clone(), budget).await {
                ExchangeOutcome::KeepAlive(kept, rest) => (socket, read) = (kept, rest),
                ExchangeOutcome::Close(socket) => break (socket, Vec::new()),
                ExchangeOutcome::TimedOut => return,
            }
            read_timeout = KEEP_ALIVE_TIMEOUT;
        };
        // A client that does not read the final bytes in time loses them.
        let _ = self.idle.run_evictable(timeout(ERROR_LINGER, close_with_linger(socket, &final_bytes))).await;
    }
}

/// Writes the final bytes, shuts down writing, and reads until the client has closed too. Closing a socket with unread bytes
/// would send a reset, which can discard the final bytes.
async fn close_with_linger(mut socket: TcpStream, final_bytes: &[u8]) -> io::Result<()> {
    socket.write_all(final_bytes).await?;
    socket.shutdown().await?;
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads the head of the next request. Its first byte may take `read_timeout`, its rest [`REQUEST_HEAD_TIMEOUT`]. Returns `None`
/// if it is not received in time.
async fn next_request(
    socket: &mut TcpStream,
    read: &mut Vec<u8>,
    read_timeout: Duration,
) -> Option<Result<PlainRequest, ErrorResponse>> {
    let mut deadline = Instant::now() + read_timeout;
    let (mut searched, mut blank_bytes) = (0, 0);
    loop {
        let leading = read.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        blank_bytes += read.drain(..leading).len();
        if blank_bytes >= MAX_HEAD_BYTES {
            return Some(Err(too_large()));
        }
        if searched == 0 && !read.is_empty() {
            deadline = deadline.min(Instant::now() + REQUEST_HEAD_TIMEOUT);
        }
        // A head ends with a line, so it is parsed only after a new line feed.
        if read[searched..].contains(&b'\n') || read.len() >= MAX_HEAD_BYTES {
            let mut storage = header_storage();
            let request = RequestHead::parse(read, &mut storage).map(|head| head.map(|head| head.to_plain_request()));
            if let Some(request) = request.transpose() {
                return Some(request);
            }
        }
        searched = read.len();
        match timeout_at(deadline, socket.read_buf(read)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return None,
        }
    }
}

/// The connections that may be closed to make room.
#[derive(Default)]
struct IdleConnections {
    list: Mutex<IdleList>,
    /// Notified when a connection is added.
    added: Notify,
}

#[derive(Default)]
struct IdleList {
    /// In the order in which they became idle. Dropping a sender closes the connection.
    connections: BTreeMap<u64, oneshot::Sender<()>>,
    next_number: u64,
    is_closed: bool,
}

impl IdleConnections {
    /// Runs a future of a connection that may be closed meanwhile. Returns `None` if it was closed.
    async fn run_evictable<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let (number, evicted) = self.add();
        let result = tokio::select! {
            result = future => Some(result),
            _ = evicted => None,
        };
        self.lock().connections.remove(&number);
        result
    }

    fn add(&self) -> (u64, oneshot::Receiver<()>) {
        let (connection, evicted) = oneshot::channel();
        let mut list = self.lock();
        let number = list.next_number;
        list.next_number += 1;
        if !list.is_closed {
            list.connections.insert(number, connection);
        }
        drop(list);
        self.added.notify_one();
        (number, evicted)
    }

    fn evict_oldest(&self) {
        self.lock().connections.pop_first();
    }

    /// Closes all connections, and each one that becomes idle later.
    fn close_all(&self) {
        let mut list = self.lock();
        list.is_closed = true;
        list.connections.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IdleList> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
