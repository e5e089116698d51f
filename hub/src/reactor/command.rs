//! The commands that other threads send to a reactor, and the queue that carries them.
//!
//! Senders are on any thread; the receiver belongs to the reactor's thread. The first command after
//! [`CommandReceiver::rearm_wakeup`] wakes the reactor's poll: one wakeup serves every command up to the next rearm.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use mio::{Poll, Token, Waker};

use tokio::sync::oneshot;

use super::DeliveryAck;
use super::sockets::socket::Socket;
use crate::auth::{Claims, Principal, Rejection};
use crate::catch_up::{LookupResult, Timestamp};
use crate::delivery::Delivery;
use crate::http::error_response::ErrorResponse;
use crate::http::plain_http::ReturnedConnection;
use crate::reactor::connection_limits::ConnectionPermit;
use crate::signalr::{ConnectionId, Transport};

/// The token of the events that signal queued commands.
pub(super) const WAKER_TOKEN: Token = Token(usize::MAX);

/// A command for a reactor.
pub(super) enum ReactorCommand {
    /// Write a push to the connections of its audience. `published` is the time at which Redis published it, `None` if it
    /// did not come from Redis or carries no time.
    Deliver { delivery: Arc<Delivery>, ack: Arc<DeliveryAck>, published: Option<Timestamp> },
    /// Add a connection whose client was accepted by another reactor.
    AddConnection(PendingConnection),
    /// Take back a connection whose HTTP request was answered by axum.
    Returned(ReturnedConnection),
    /// The outcome of a token's verification.
    TokenVerified(VerifyResult),
    /// A token waits for newer keys: its verification slot is free for another token.
    TokenDeferred,
    /// Answer the handshake of a connection: its channels are subscribed to.
    Subscribed(ConnectionId),
    /// The result of a missed-push lookup.
    MissedResult(ConnectionId, MissedResult),
    /// Send every user a `SyncVault`, after a delay and evenly spread over a duration.
    SyncAll { after: Duration, over: Duration },
    /// Close all connections, evenly spread over a duration.
    Drain(Duration),
    /// Close what is open and end the thread.
    Stop,
}

/// The result of a lookup of what a client missed.
#[derive(Debug)]
pub(super) enum MissedResult {
    /// On the main hub: the missed pushes, which a `SyncVault` covers.
    Pushes(LookupResult),
    /// On the anonymous hub: the answer to its login request.
    LoginResponse(Delivery),
}

/// An accepted connection on its way to the reactor that will own it.
pub(super) struct PendingConnection {
    pub(super) socket: Socket,
    /// Bytes that were read after the request's head.
    pub(super) read_ahead: Vec<u8>,
    /// Whether the socket may hold more bytes that no event will announce.
    pub(super) maybe_readable: bool,
    pub(super) principal: Principal,
    pub(super) transport: Transport,
    /// Its share of the connection limits, `None` without limits.
    pub(super) permit: Option<Box<ConnectionPermit>>,
    pub(super) reply: AcceptReply,
}

/// How a client is told that it was accepted, or why it was rejected.
pub(super) enum AcceptReply {
    /// By the response to its upgrade request; these are the bytes of the 101.
    Upgrade(Vec<u8>),
    /// Through its relay: `None` if it was accepted.
    Relay(oneshot::Sender<Option<ErrorResponse>>),
}

impl AcceptReply {
    /// Tells the client that it is accepted, or why it is not. Returns the bytes that its socket is to be sent, none for a relay.
    pub(super) fn answer(self, error_response: Option<ErrorResponse>) -> Vec<u8> {
        match (self, error_response) {
            (AcceptReply::Upgrade(accept), None) => accept,
            (AcceptReply::Upgrade(_), Some(error_response)) => error_response.bytes(),
            (AcceptReply::Relay(reply), error_response) => {
                // If the relay is gone, its end of the socket pair is closed as well.
                let _ = reply.send(error_response);
                Vec::new()
            }
        }
    }
}

/// The outcome of a token's verification.
pub(super) struct VerifyResult {
    /// The slot of the request that waits for it.
    pub(super) slot: u32,
    /// Tells the request from earlier ones of that slot.
    pub(super) request_id: u64,
    pub(super) claims: Result<Arc<Claims>, Rejection>,
    /// Whether it waited for newer keys.
    pub(super) deferred: bool,
}

/// The sending side of a reactor's command queue.
#[derive(Clone)]
pub(super) struct CommandSender {
    commands: Sender<ReactorCommand>,
    waker: Arc<Waker>,
    wake_pending: Arc<AtomicBool>,
}

/// The receiving side of a reactor's command queue.
pub(super) struct CommandReceiver {
    commands: Receiver<ReactorCommand>,
    wake_pending: Arc<AtomicBool>,
}

impl std::fmt::Debug for CommandSender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CommandSender")
    }
}

/// Creates a command queue and the poll that it wakes.
pub(super) fn channel() -> io::Result<(CommandSender, CommandReceiver, Poll)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER_TOKEN)?);
    let (sender, receiver) = mpsc::channel();
    let wake_pending = Arc::new(AtomicBool::new(false));
    let sender = CommandSender { commands: sender, waker, wake_pending: wake_pending.clone() };
    Ok((sender, CommandReceiver { commands: receiver, wake_pending }, poll))
}

impl CommandSender {
    /// Queues a command and wakes the reactor. Dropped if the reactor has ended.
    pub(super) fn send(&self, command: ReactorCommand) {
        // One wakeup serves every command that is queued before the reactor rearms it.
        if self.commands.send(command).is_ok() && !self.wake_pending.swap(true, Ordering::AcqRel) {
            // Fails only if the poll is gone.
            let _ = self.waker.wake();
        }
    }
}

impl CommandReceiver {
    /// Returns the next command without blocking, or `None` if there is none. Call [`CommandReceiver::rearm_wakeup`] first.
    pub(super) fn try_recv(&self) -> Option<ReactorCommand> {
        self.commands.try_recv().ok()
    }

    /// Makes the next command wake the reactor again.
    pub(super) fn rearm_wakeup(&self) {
        // A swap, not a store: its acquire pairs with the release of the senders that found the flag set, so that their
        // commands are visible to the `try_recv` calls that follow.
        self.wake_pending.swap(false, Ordering::AcqRel);
    }
}
