//! A relay connects a client without a WebSocket to its reactor. The reactor serves a WebSocket at the other end of a socket
//! pair, so limits, timeouts and catch-up are the same for every transport.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use socket2::SockRef;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, MutexGuard, oneshot, watch};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use uuid::Uuid;

use super::error_response::ErrorResponse;
use crate::auth::Principal;
use crate::signalr::Hub;
use crate::signalr::Transport;

/// The size of the socket pair's send buffer, in bytes. The reactor queues further bytes within its limits.
const SOCKET_BUFFER_BYTES: usize = 16 * 1024;

/// The size of the read buffer, in bytes.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A request to the reactors to add a client.
pub struct ConnectRequest {
    /// The reactor's end of the socket pair, non-blocking.
    pub socket: std::os::unix::net::UnixStream,
    /// The transport of the client.
    pub transport: Transport,
    /// The authenticated client.
    pub principal: Principal,
    /// The address of the request's peer: a client or a proxy.
    pub peer: IpAddr,
    /// The value of `X-Forwarded-For`.
    pub forwarded: String,
    /// Receives `None` if the client was accepted, or the error response.
    pub reply: oneshot::Sender<Option<ErrorResponse>>,
}

/// Sends a request to the reactors.
pub type ConnectFn = Arc<dyn Fn(ConnectRequest) + Send + Sync>;

/// A client's end of the socket pair.
pub struct Relay {
    transport: Transport,
    hub: Hub,
    id: Option<Uuid>,
    to_hub: Mutex<SplitSink<WebSocketStream<UnixStream>, Message>>,
    from_hub: Mutex<SplitStream<WebSocketStream<UnixStream>>>,
    /// Counts polls. A change tells the current poll that a later one supersedes it.
    poll_generation: watch::Sender<u64>,
    /// The time at which the last poll ended.
    idle_since: std::sync::Mutex<Instant>,
}

impl Relay {
    /// Connects a client to its reactor.
    ///
    /// # Errors
    /// Returns an error response if the client is rejected.
    pub async fn open(
        connect_fn: &ConnectFn,
        transport: Transport,
        principal: Principal,
        peer: IpAddr,
        forwarded: String,
    ) -> Result<Relay, ErrorResponse> {
        let no_room = |error: io::Error| {
            tracing::warn!(%error, "relay cannot be opened");
            ErrorResponse::service_unavailable("This server has no room for more connections.")
        };
        let (ours, theirs) = UnixStream::pair().map_err(no_room)?;
        let theirs = theirs.into_std().map_err(no_room)?;
        SockRef::from(&theirs).set_send_buffer_size(SOCKET_BUFFER_BYTES).map_err(no_room)?;
        let (hub, id, (reply, accepted)) = (principal.hub(), principal.id(), oneshot::channel());
        connect_fn(ConnectRequest { socket: theirs, transport, principal, peer, forwarded, reply });
        // The reply is dropped if the reactor has ended or could not register the socket.
        let unavailable = |_| Some(ErrorResponse::service_unavailable("This server is shutting down."));
        if let Some(error_response) = accepted.await.unwrap_or_else(unavailable) {
            return Err(error_response);
        }
        // Messages of the reactor are not limited here. Writes are not buffered.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(None)
            .max_frame_size(None);
        let (to_hub, from_hub) = WebSocketStream::from_raw_socket(ours, Role::Client, Some(config)).await.split();
        Ok(Relay {
            transport,
            hub,
            id,
            to_hub: Mutex::new(to_hub),
            from_hub: Mutex::new(from_hub),
            poll_generation: watch::Sender::new(0),
            idle_since: std::sync::Mutex::new(Instant::now()),
        })
    }

    /// Returns the transport of the client.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Returns `true` if `principal` owns this relay. The connection token alone does not authorize a request.
    pub fn is_owned_by(&self, principal: &Principal) -> bool {
        (self.hub, self.id) == (principal.hub(), principal.id())
    }

    /// Locks the writing side, so that the bytes of two requests are not mixed.
    pub async fn lock_writer(&self) -> RelayWriter<'_> {
        RelayWriter(self.to_hub.lock().await)
    }

    /// Locks the reading side and ends the current poll. Returns `None` if a later poll has superseded this one.
    pub async fn acquire_poll(&self) -> Option<PollLock<'_>> {
        self.poll_generation.send_modify(|poll_generation| *poll_generation += 1);
        let mut poll_generation = self.poll_generation.subscribe();
        let from_hub = tokio::select! {
            biased;
            from_hub = self.from_hub.lock() => from_hub,
            _ = poll_generation.changed() => return None,
        };
        Some(PollLock { relay: self, from_hub, poll_generation })
    }

    /// Ends the current poll.
    pub fn cancel_poll(&self) {
        self.poll_generation.send_modify(|poll_generation| *poll_generation += 1);
    }

    /// Returns the time since the last poll ended, or zero during a poll.
    pub fn idle_for(&self) -> Duration {
        match self.from_hub.try_lock() {
            Ok(_) => self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            Err(_) => Duration::ZERO,
        }
    }
}

/// The locked writing side of a relay.
pub struct RelayWriter<'a>(MutexGuard<'a, SplitSink<WebSocketStream<UnixStream>, Message>>);

impl RelayWriter<'_> {
    /// Sends bytes to the reactor. Returns `false` if the reactor has closed the connection.
    pub async fn send(&mut self, bytes: Bytes) -> bool {
        self.0.send(Message::Binary(bytes)).await.is_ok()
    }
}

/// The locked reading side of a relay.
pub struct PollLock<'a> {
    relay: &'a Relay,
    from_hub: MutexGuard<'a, SplitStream<WebSocketStream<UnixStream>>>,
    poll_generation: watch::Receiver<u64>,
}

/// The outcome of a poll.
#[derive(Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// One complete SignalR message.
    Message(Bytes),
    /// A later poll supersedes this one.
    Superseded,
    /// The reactor has closed the connection.
    Closed,
}

impl PollLock<'_> {
    /// Waits for a message.
    pub async fn recv(&mut self) -> PollOutcome {
        tokio::select! {
            biased;
            message = message(&mut self.from_hub) => message.map_or(PollOutcome::Closed, PollOutcome::Message),
            _ = self.poll_generation.changed() => PollOutcome::Superseded,
        }
    }

    /// Returns `true` if the reactor has closed the connection. Discards messages that were received before.
    pub fn is_closed(&mut self) -> bool {
        loop {
            match message(&mut self.from_hub).now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return true,
                None => return false,
            }
        }
    }

    /// Returns the next message without waiting, or `None` if there is none.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        message(&mut self.from_hub).now_or_never().flatten()
    }
}

impl Drop for PollLock<'_> {
    fn drop(&mut self) {
        *self.relay.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Waits for the next message. Returns `None` after the reactor has closed the connection.
async fn message(from_hub: &mut SplitStream<WebSocketStream<UnixStream>>) -> Option<Bytes> {
    loop {
        match from_hub.next().await?.ok()? {
            Message::Text(text) => return Some(text.into()),
            Message::Binary(bytes) => return Some(bytes),
            // The stream ends after a Close. Reactors send no pings to a relay.
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
