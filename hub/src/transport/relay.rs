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

use super::refusal::Refusal;
use crate::auth::Guest;
use crate::connection::Transport;
use crate::delivery::Hub;

/// What the kernel keeps for a client that does not take it; what is more than this waits in the reactor, within its limits.
const SOCKET_BUFFER: usize = 16 * 1024;

/// What is read at once.
const READ_BUFFER: usize = 4 * 1024;

/// A client that asks the reactors to be let in.
pub struct Knock {
    /// Their end of the pair, non-blocking.
    pub socket: std::os::unix::net::UnixStream,
    /// By what it is connected.
    pub transport: Transport,
    /// Who it is.
    pub guest: Guest,
    /// The other end of its request's connection, and what proxies wrote of those before.
    pub peer: IpAddr,
    /// See `peer`.
    pub forwarded: String,
    /// Where they say that it is let in, or why not.
    pub told: oneshot::Sender<Option<Refusal>>,
}

/// The way to the reactors.
pub type Door = Arc<dyn Fn(Knock) + Send + Sync>;

/// A client's end of the pair.
pub struct Relay {
    transport: Transport,
    hub: Hub,
    id: Option<Uuid>,
    to_hub: Mutex<SplitSink<WebSocketStream<UnixStream>, Message>>,
    from_hub: Mutex<SplitStream<WebSocketStream<UnixStream>>>,
    /// How many turns there have been: whoever has one sees that another is wanted.
    turns: watch::Sender<u64>,
    /// When the last turn ended.
    idle_since: std::sync::Mutex<Instant>,
}

impl Relay {
    /// Connects a client.
    ///
    /// # Errors
    /// Why it is not let in.
    pub async fn open(
        door: &Door,
        transport: Transport,
        guest: Guest,
        peer: IpAddr,
        forwarded: String,
    ) -> Result<Relay, Refusal> {
        let no_room = |error: io::Error| {
            tracing::warn!(%error, "a client could not be connected");
            Refusal::busy("This server has no room for more connections.")
        };
        let (ours, theirs) = UnixStream::pair().map_err(no_room)?;
        let theirs = theirs.into_std().map_err(no_room)?;
        SockRef::from(&theirs).set_send_buffer_size(SOCKET_BUFFER).map_err(no_room)?;
        let (hub, id, (told, answer)) = (guest.hub(), guest.id(), oneshot::channel());
        door(Knock { socket: theirs, transport, guest, peer, forwarded, told });
        // No answer at all: its reactor has ended, or could not take it.
        let unavailable = |_| Some(Refusal::busy("This server is shutting down."));
        if let Some(refusal) = answer.await.unwrap_or_else(unavailable) {
            return Err(refusal);
        }
        // What the reactors write is as long as it is, and leaves at once.
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
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
            turns: watch::Sender::new(0),
            idle_since: std::sync::Mutex::new(Instant::now()),
        })
    }

    /// By what the client is connected.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether it is the same client that asks: a token of somebody else is no key to it.
    pub fn is_of(&self, guest: &Guest) -> bool {
        (self.hub, self.id) == (guest.hub(), guest.id())
    }

    /// Takes the right to say something to the hub: what one request says is not mixed with what another does.
    pub async fn speak(&self) -> Speech<'_> {
        Speech(self.to_hub.lock().await)
    }

    /// Takes over from whoever hears what the hub says. Nothing if somebody else has done so meanwhile.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        self.turns.send_modify(|turns| *turns += 1);
        let mut turns = self.turns.subscribe();
        let from_hub = tokio::select! {
            biased;
            from_hub = self.from_hub.lock() => from_hub,
            _ = turns.changed() => return None,
        };
        Some(Turn { relay: self, from_hub, turns })
    }

    /// Ends the turn of whoever has it.
    pub fn interrupt(&self) {
        self.turns.send_modify(|turns| *turns += 1);
    }

    /// For how long nobody has heard what the hub says.
    pub fn idle(&self) -> Duration {
        match self.from_hub.try_lock() {
            Ok(_) => self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed(),
            Err(_) => Duration::ZERO,
        }
    }
}

/// The right to say something to the hub.
pub struct Speech<'a>(MutexGuard<'a, SplitSink<WebSocketStream<UnixStream>, Message>>);

impl Speech<'_> {
    /// Passes on what the client says; false if the hub does not listen any more.
    pub async fn say(&mut self, bytes: Bytes) -> bool {
        self.0.send(Message::Binary(bytes)).await.is_ok()
    }
}

/// The right to hear what the hub says.
pub struct Turn<'a> {
    relay: &'a Relay,
    from_hub: MutexGuard<'a, SplitStream<WebSocketStream<UnixStream>>>,
    turns: watch::Receiver<u64>,
}

/// What came of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// One SignalR message, whole.
    Message(Bytes),
    /// Somebody else has the turn now.
    Interrupted,
    /// The hub has ended the connection.
    Over,
}

impl Turn<'_> {
    /// Waits for what the hub says.
    pub async fn hear(&mut self) -> Heard {
        tokio::select! {
            biased;
            message = message(&mut self.from_hub) => message.map_or(Heard::Over, Heard::Message),
            _ = self.turns.changed() => Heard::Interrupted,
        }
    }

    /// Whether the hub has ended the connection. What it has said before is lost.
    pub fn is_over(&mut self) -> bool {
        loop {
            match message(&mut self.from_hub).now_or_never() {
                Some(Some(_)) => {}
                Some(None) => return true,
                None => return false,
            }
        }
    }

    /// What the hub has said already; nothing if that is all for now.
    pub fn more(&mut self) -> Option<Bytes> {
        message(&mut self.from_hub).now_or_never().flatten()
    }
}

impl Drop for Turn<'_> {
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
