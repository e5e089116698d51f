//! What reaches a reactor from other threads, and how it wakes up for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use mio::{Poll, Token, Waker};

use tokio::sync::oneshot;

use super::Receipt;
use super::socket::Socket;
use crate::auth::{Claims, Guest, Rejection};
use crate::catch_up::{Answer, Moment};
use crate::connection::{ConnectionId, Transport};
use crate::delivery::Delivery;
use crate::limits::Place;
use crate::transport::plain::Returned;
use crate::transport::refusal::Refusal;

/// The token of the events that only say that there is mail.
pub(super) const WAKE: Token = Token(usize::MAX);

/// Something for a reactor to do.
pub(super) enum Mail {
    /// Write a push to those that it is for; and when Redis has published it, if it came from there and that is told.
    Deliver { delivery: Arc<Delivery>, receipt: Arc<Receipt>, published: Option<Moment> },
    /// Take a client over.
    Adopt(Newcomer),
    /// Take back a connection whose request was answered elsewhere.
    Returned(Returned),
    /// Hear what became of a token.
    Verified(Verdict),
    /// Go on with other tokens: one waits for newer keys.
    KeysAwaited,
    /// Answer the handshake of a connection whose pushes are subscribed to.
    Subscribed(ConnectionId),
    /// Take the answer to what a client missed.
    Missed(ConnectionId, Missed),
    /// Tell all users to sync, after a while and spread over another.
    SyncEverybody { after: Duration, over: Duration },
    /// Let go of all clients.
    Drain(Duration),
    /// End.
    Stop,
}

/// What a client missed.
#[derive(Debug)]
pub(super) enum Missed {
    /// On the main hub: pushes, for which it is sent a sync.
    Pushes(Answer),
    /// On the anonymous hub: the answer to its login request.
    LoginResponse(Delivery),
}

/// A client that is let in, on its way to its reactor.
pub(super) struct Newcomer {
    pub(super) socket: Socket,
    /// What it sent behind its request.
    pub(super) leftover: Vec<u8>,
    /// There may be more of that, of which no event will tell.
    pub(super) unread: bool,
    pub(super) guest: Guest,
    pub(super) transport: Transport,
    /// What it counts for, where there are limits.
    pub(super) place: Option<Box<Place>>,
    pub(super) welcome: Welcome,
}

/// How a client hears that it is let in, or why it is not.
pub(super) enum Welcome {
    /// By the answer to its upgrade, which is this one if it is let in.
    Upgrade(Vec<u8>),
    /// By its relay.
    Relay(oneshot::Sender<Option<Refusal>>),
}

/// What became of a token.
pub(super) struct Verdict {
    /// The slot of the client that waits for it.
    pub(super) slot: u32,
    /// Which client of that slot it was.
    pub(super) ticket: u64,
    pub(super) claims: Result<Arc<Claims>, Rejection>,
    /// It waited for newer keys.
    pub(super) late: bool,
}

/// The sending side of a mailbox.
#[derive(Clone)]
pub(super) struct Mailbox {
    letters: Sender<Mail>,
    waker: Arc<Waker>,
    woken: Arc<AtomicBool>,
}

/// The receiving side.
pub(super) struct Letters {
    letters: Receiver<Mail>,
    woken: Arc<AtomicBool>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Mailbox")
    }
}

/// Opens a mailbox together with the poll that it wakes.
pub(super) fn open() -> io::Result<(Mailbox, Letters, Poll)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let (sender, receiver) = mpsc::channel();
    let woken = Arc::new(AtomicBool::new(false));
    let mailbox = Mailbox { letters: sender, waker, woken: woken.clone() };
    Ok((mailbox, Letters { letters: receiver, woken }, poll))
}

impl Mailbox {
    /// Sends and wakes; a reactor that has ended hears nothing any more.
    pub(super) fn send(&self, mail: Mail) {
        // One wake-up serves all the mail that comes before the reactor looks.
        if self.letters.send(mail).is_ok() && !self.woken.swap(true, Ordering::AcqRel) {
            // Fails only if the poll is gone.
            let _ = self.waker.wake();
        }
    }
}

impl Letters {
    /// The next letter, without waiting. Call [`Letters::look`] first.
    pub(super) fn next(&self) -> Option<Mail> {
        self.letters.try_recv().ok()
    }

    /// Mail that comes from now on wakes again.
    pub(super) fn look(&self) {
        // A swap, not a store: it has to see every letter that was sent before the flag was found set.
        self.woken.swap(false, Ordering::AcqRel);
    }
}
