//! A port with no WebSockets, for senders or for probes: so many connections at once, each with a time for its request. Where
//! places are short, the connection that has waited longest for its next request makes room.

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
use super::exchange::{Exchange, Outcome};
use super::headers::{ERROR_LINGER, KEEP_ALIVE_TIMEOUT, REQUEST_HEAD_TIMEOUT};
use super::plain_http::REQUEST_TIMEOUT;
use super::request_budget::RequestBudget;
use super::request_head::{MAX_HEAD_BYTES, PlainRequest, RequestHead, header_storage, too_large};
use crate::observability::LogLimiter;

/// How long to wait before trying again when the system gives no connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves routes on a listener, on so many connections at once, until `end`; then until the last request is answered.
///
/// # Errors
/// If the listener cannot be watched.
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
                    served.spawn(self.clone().converse(socket, peer.ip(), permit));
                }
                Err(error) => {
                    if let Some(unsaid) = log_limiter.allow() {
                        tracing::warn!(%error, unsaid, "no connection can be accepted");
                    }
                    sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        drop(listener);
        self.idle.end();
        while served.join_next().await.is_some() {}
    }

    /// Waits for a place; who waits for a request makes room.
    async fn acquire_permit(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                return Some(permit);
            }
            self.idle.cut_oldest();
            tokio::select! {
                permit = self.permits.clone().acquire_owned() => return permit.ok(),
                () = self.idle.entered.notified() => {}
            }
        }
    }

    /// Serves the requests of one connection.
    async fn converse(self: Arc<Self>, mut socket: TcpStream, peer: IpAddr, _permit: Option<OwnedSemaphorePermit>) {
        let (mut read, mut read_timeout) = (Vec::new(), REQUEST_HEAD_TIMEOUT);
        let (socket, final_bytes) = loop {
            let next = self.idle.run_evictable(next_request(&mut socket, &mut read, read_timeout)).await;
            let request = match next.flatten() {
                Some(Ok(request)) => request,
                Some(Err(error_response)) => break (socket, error_response.bytes()),
                None => return,
            };
            let budget = RequestBudget::new(peer, None, REQUEST_TIMEOUT);
            match (Exchange { socket, read, request }).serve(self.router.clone(), budget).await {
                Outcome::KeepAlive(kept, rest) => (socket, read) = (kept, rest),
                Outcome::LastAnswered(socket) => break (socket, Vec::new()),
                Outcome::TimedOut => return,
            }
            read_timeout = KEEP_ALIVE_TIMEOUT;
        };
        // Who takes its time loses them.
        let _ = self.idle.run_evictable(timeout(ERROR_LINGER, end(socket, &final_bytes))).await;
    }
}

/// Closes this side behind the last words and reads until the other side has closed too: unread bytes would make a reset of it, which
/// eats them.
async fn end(mut socket: TcpStream, final_bytes: &[u8]) -> io::Result<()> {
    socket.write_all(final_bytes).await?;
    socket.shutdown().await?;
    let mut buffer = [0; 4096];
    while socket.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads the head of the next request, whose first byte may take `read_timeout`. `None` if there is none in time.
async fn next_request(
    socket: &mut TcpStream,
    read: &mut Vec<u8>,
    read_timeout: Duration,
) -> Option<Result<PlainRequest, ErrorResponse>> {
    let mut deadline = Instant::now() + read_timeout;
    let (mut looked, mut blank) = (0, 0);
    loop {
        let lines = read.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        blank += read.drain(..lines).len();
        if blank >= MAX_HEAD_BYTES {
            return Some(Err(too_large()));
        }
        if looked == 0 && !read.is_empty() {
            deadline = deadline.min(Instant::now() + REQUEST_HEAD_TIMEOUT);
        }
        // A head ends with a line: between two of them there is nothing new to see.
        if read[looked..].contains(&b'\n') || read.len() >= MAX_HEAD_BYTES {
            let mut storage = header_storage();
            let request = RequestHead::parse(read, &mut storage).map(|head| head.map(|head| head.plain()));
            if let Some(request) = request.transpose() {
                return Some(request);
            }
        }
        looked = read.len();
        match timeout_at(deadline, socket.read_buf(read)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => return None,
        }
    }
}

/// The connections that wait for a request, the longest first. Who is dropped from here ends.
#[derive(Default)]
struct IdleConnections {
    waiting: Mutex<WaitingConnections>,
    /// Somebody has begun to wait.
    entered: Notify,
}

#[derive(Default)]
struct WaitingConnections {
    connections: BTreeMap<u64, oneshot::Sender<()>>,
    next: u64,
    is_closed: bool,
}

impl IdleConnections {
    /// Waits for something on behalf of a connection; `None` if that had to make room.
    async fn run_evictable<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let (number, cut) = self.enter();
        let found = tokio::select! {
            found = what => Some(found),
            _ = cut => None,
        };
        self.waiting().connections.remove(&number);
        found
    }

    fn enter(&self) -> (u64, oneshot::Receiver<()>) {
        let (connection, cut) = oneshot::channel();
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        if !waiting.is_closed {
            waiting.connections.insert(number, connection);
        }
        drop(waiting);
        self.entered.notify_one();
        (number, cut)
    }

    fn cut_oldest(&self) {
        self.waiting().connections.pop_first();
    }

    fn end(&self) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        waiting.connections.clear();
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, WaitingConnections> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
