//! What reaches a reactor from other threads, and how it wakes up for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use mio::{Poll, Token, Waker};

use tokio::sync::oneshot;

use super::DeliveryAck;
use super::socket::Socket;
use crate::auth::{Claims, Principal, Rejection};
use crate::catch_up::{LookupResult, Timestamp};
use crate::connection::{ConnectionId, Transport};
use crate::delivery::Delivery;
use crate::limits::ConnectionPermit;
use crate::transport::error_response::ErrorResponse;
use crate::transport::plain_http::ReturnedConnection;

/// The token of the events that only say that there is mail.
pub(super) const WAKER_TOKEN: Token = Token(usize::MAX);

/// Something for a reactor to do.
pub(super) enum ReactorCommand {
    /// Write a push to those that it is for; and when Redis has published it, if it came from there and that is told.
    Deliver { delivery: Arc<Delivery>, ack: Arc<DeliveryAck>, published: Option<Timestamp> },
    /// Take a client over.
    AddConnection(PendingConnection),
    /// Take back a connection whose request was answered elsewhere.
    Returned(ReturnedConnection),
    /// Hear what became of a token.
    TokenVerified(VerifyResult),
    /// Go on with other tokens: one waits for newer keys.
    TokenDeferred,
    /// Answer the handshake of a connection whose pushes are subscribed to.
    Subscribed(ConnectionId),
    /// Take the answer to what a client missed.
    MissedResult(ConnectionId, MissedResult),
    /// Tell all users to sync, after a while and spread over another.
    SyncAll { after: Duration, over: Duration },
    /// Let go of all clients.
    Drain(Duration),
    /// End.
    Stop,
}

/// What a client missed.
#[derive(Debug)]
pub(super) enum MissedResult {
    /// On the main hub: pushes, for which it is sent a sync.
    Pushes(LookupResult),
    /// On the anonymous hub: the answer to its login request.
    LoginResponse(Delivery),
}

/// A client that is let in, on its way to its reactor.
pub(super) struct PendingConnection {
    pub(super) socket: Socket,
    /// What it sent behind its request.
    pub(super) read_ahead: Vec<u8>,
    /// There may be more of that, of which no event will tell.
    pub(super) maybe_readable: bool,
    pub(super) principal: Principal,
    pub(super) transport: Transport,
    /// What it counts for, where there are limits.
    pub(super) permit: Option<Box<ConnectionPermit>>,
    pub(super) reply: AcceptReply,
}

/// How a client hears that it is let in, or why it is not.
pub(super) enum AcceptReply {
    /// By the answer to its upgrade, which is this one if it is let in.
    Upgrade(Vec<u8>),
    /// By its relay.
    Relay(oneshot::Sender<Option<ErrorResponse>>),
}

/// What became of a token.
pub(super) struct VerifyResult {
    /// The slot of the client that waits for it.
    pub(super) slot: u32,
    /// Which client of that slot it was.
    pub(super) request_id: u64,
    pub(super) claims: Result<Arc<Claims>, Rejection>,
    /// It waited for newer keys.
    pub(super) deferred: bool,
}

/// The sending side of a mailbox.
#[derive(Clone)]
pub(super) struct CommandSender {
    commands: Sender<ReactorCommand>,
    waker: Arc<Waker>,
    wake_pending: Arc<AtomicBool>,
}

/// The receiving side.
pub(super) struct CommandReceiver {
    commands: Receiver<ReactorCommand>,
    wake_pending: Arc<AtomicBool>,
}

impl std::fmt::Debug for CommandSender {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mailbox")
    }
}

/// Opens a mailbox together with the poll that it wakes.
pub(super) fn channel() -> io::Result<(CommandSender, CommandReceiver, Poll)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER_TOKEN)?);
    let (sender, receiver) = mpsc::channel();
    let wake_pending = Arc::new(AtomicBool::new(false));
    let sender = CommandSender { commands: sender, waker, wake_pending: wake_pending.clone() };
    Ok((sender, CommandReceiver { commands: receiver, wake_pending }, poll))
}

impl CommandSender {
    /// Sends and wakes; a reactor that has ended hears nothing any more.
    pub(super) fn send(&self, command: ReactorCommand) {
        // One wake-up serves all the mail that comes before the reactor looks.
        if self.commands.send(command).is_ok() && !self.wake_pending.swap(true, Ordering::AcqRel) {
            // Fails only if the poll is gone.
            let _ = self.waker.wake();
        }
    }
}

impl CommandReceiver {
    /// The next letter, without waiting. Call [`CommandReceiver::rearm_wakeup`] first.
    pub(super) fn try_recv(&self) -> Option<ReactorCommand> {
        self.commands.try_recv().ok()
    }

    /// Mail that comes from now on wakes again.
    pub(super) fn rearm_wakeup(&self) {
        // A swap, not a store: it has to see every letter that was sent before the flag was found set.
        self.wake_pending.swap(false, Ordering::AcqRel);
    }
}
