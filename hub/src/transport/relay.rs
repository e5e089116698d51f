//! A client that is connected by other than a WebSocket, as its requests see it. For its reactor it is one nevertheless, at the
//! other end of a pair of sockets: everything that is true of a client there is true of this one.

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
use crate::connection::Transport;
use crate::delivery::Hub;

/// What the kernel keeps for a client that does not take it; what is more than this waits in the reactor, within its limits.
const SOCKET_BUFFER_BYTES: usize = 16 * 1024;

/// What is read at once.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A client that asks the reactors to be let in.
pub struct ConnectRequest {
    /// Their end of the pair, non-blocking.
    pub socket: std::os::unix::net::UnixStream,
    /// By what it is connected.
    pub transport: Transport,
    /// Who it is.
    pub principal: Principal,
    /// The other end of its request's connection, and what proxies wrote of those before.
    pub peer: IpAddr,
    /// See `peer`.
    pub forwarded: String,
    /// Where they say that it is let in, or why not.
    pub reply: oneshot::Sender<Option<ErrorResponse>>,
}

/// The way to the reactors.
pub type ConnectFn = Arc<dyn Fn(ConnectRequest) + Send + Sync>;

/// A client's end of the pair.
pub struct Relay {
    transport: Transport,
    hub: Hub,
    id: Option<Uuid>,
    to_hub: Mutex<SplitSink<WebSocketStream<UnixStream>, Message>>,
    from_hub: Mutex<SplitStream<WebSocketStream<UnixStream>>>,
    /// How many turns there have been: whoever has one sees that another is wanted.
    poll_generation: watch::Sender<u64>,
    /// When the last turn ended.
    idle_since: std::sync::Mutex<Instant>,
}

impl Relay {
    /// Connects a client.
    ///
    /// # Errors
    /// Why it is not let in.
    pub async fn open(
        connect_fn: &ConnectFn,
        transport: Transport,
        principal: Principal,
        peer: IpAddr,
        forwarded: String,
    ) -> Result<Relay, ErrorResponse> {
        let no_room = |error: io::Error| {
            tracing::warn!(%error, "a client could not be connected");
            ErrorResponse::service_unavailable("This server has no room for more connections.")
        };
        let (ours, theirs) = UnixStream::pair().map_err(no_room)?;
        let theirs = theirs.into_std().map_err(no_room)?;
        SockRef::from(&theirs).set_send_buffer_size(SOCKET_BUFFER_BYTES).map_err(no_room)?;
        let (hub, id, (reply, answer)) = (principal.hub(), principal.id(), oneshot::channel());
        connect_fn(ConnectRequest { socket: theirs, transport, principal, peer, forwarded, reply });
        // No answer at all: its reactor has ended, or could not take it.
        let unavailable = |_| Some(ErrorResponse::service_unavailable("This server is shutting down."));
        if let Some(error_response) = answer.await.unwrap_or_else(unavailable) {
            return Err(error_response);
        }
        // What the reactors write is as long as it is, and leaves at once.
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

    /// By what the client is connected.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is the same client that asks: a token of somebody else is no key to it.
    pub fn is_owned_by(&self, principal: &Principal) -> bool {
        (self.hub, self.id) == (principal.hub(), principal.id())
    }

    /// Takes the right to say something to the hub: what one request says is not mixed with what another does.
    pub async fn lock_writer(&self) -> RelayWriter<'_> {
        RelayWriter(self.to_hub.lock().await)
    }

    /// Takes over from whoever hears what the hub says. Nothing if somebody else has done so meanwhile.
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

    /// Ends the turn of whoever has it.
    pub fn cancel_poll(&self) {
        self.poll_generation.send_modify(|poll_generation| *poll_generation += 1);
    }

    /// For how long nobody has heard what the hub says.
    pub fn idle_for(&self) -> Duration {
        match self.from_hub.try_lock() {
            Ok(_) => self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            Err(_) => Duration::ZERO,
        }
    }
}

/// The right to say something to the hub.
pub struct RelayWriter<'a>(MutexGuard<'a, SplitSink<WebSocketStream<UnixStream>, Message>>);

impl RelayWriter<'_> {
    /// Passes on what the client says; false if the hub does not listen any more.
    pub async fn send(&mut self, bytes: Bytes) -> bool {
        self.0.send(Message::Binary(bytes)).await.is_ok()
    }
}

/// The right to hear what the hub says.
pub struct PollLock<'a> {
    relay: &'a Relay,
    from_hub: MutexGuard<'a, SplitStream<WebSocketStream<UnixStream>>>,
    poll_generation: watch::Receiver<u64>,
}

/// What came of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum PollOutcome {
    /// One SignalR message, whole.
    Message(Bytes),
    /// Somebody else has the turn now.
    Superseded,
    /// The hub has ended the connection.
    Closed,
}

impl PollLock<'_> {
    /// Waits for what the hub says.
    pub async fn recv(&mut self) -> PollOutcome {
        tokio::select! {
            biased;
            message = message(&mut self.from_hub) => message.map_or(PollOutcome::Closed, PollOutcome::Message),
            _ = self.poll_generation.changed() => PollOutcome::Superseded,
        }
    }

    /// Whether the hub has ended the connection. What it has said before is lost.
    pub fn is_closed(&mut self) -> bool {
        loop {
            match message(&mut self.from_hub).now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return true,
                None => return false,
            }
        }
    }

    /// What the hub has said already; nothing if that is all for now.
    pub fn try_recv(&mut self) -> Option<Bytes> {
        message(&mut self.from_hub).now_or_never().flatten()
    }
}

impl Drop for PollLock<'_> {
    fn drop(&mut self) {
        *self.relay.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// The next message; nothing at the end.
async fn message(from_hub: &mut SplitStream<WebSocketStream<UnixStream>>) -> Option<Bytes> {
    loop {
        match from_hub.next().await?.ok()? {
            Message::Text(text) => return Some(text.into()),
            Message::Binary(bytes) => return Some(bytes),
            // The end comes behind a Close; there are no pings between two that are one process.
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}
