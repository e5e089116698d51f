//! Who comes and goes, told to a backplane: it listens elsewhere for whoever is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use super::mailbox::{Mail, Mailbox, Missed};
use crate::auth::Guest;
use crate::catch_up::{Answer, Joining, Moment, Records};
use crate::connection::ConnectionId;
use crate::delivery::{Audience, Delivery, Hub};
use crate::notification::{ClientType, Device};

/// A client, as far as pushes can be for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its hub.
    pub hub: Hub,
    /// The user, or the login request.
    pub id: Option<Uuid>,
    /// Its kind.
    pub client_type: ClientType,
    /// The user's organisations, each once.
    pub organizations: Box<[Uuid]>,
}

impl From<&Guest> for Member {
    fn from(guest: &Guest) -> Member {
        let (client_type, organizations) = match guest {
            Guest::User(claims) => (claims.client_type, claims.organizations.clone()),
            Guest::Anonymous(_) => (ClientType::All, Box::default()),
        };
        Member { hub: guest.hub(), id: guest.id(), client_type, organizations }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Presence {
    /// A client has come. The answer to its handshake waits for the ticket, if there is one, and the question is to be answered
    /// once it is listened for.
    Came(Member, Option<Ticket>, Option<Question>),
    /// A client has gone.
    Went(Member),
    /// A device of a user has surely received every push up to a moment of Redis' clock.
    Received(Uuid, Device, Moment),
}

/// A question what a client missed while it was not connected. One that is dropped is answered with [`Answer::UNKNOWN`].
#[derive(Debug)]
pub struct Question {
    /// The client's device, or `None` if its token names none.
    pub device: Option<Device>,
    /// Up to when other connections of that device here have surely received every push, `None` if there are none.
    pub received: Option<Moment>,
    /// Where the answer goes; `None` once it is given.
    address: Option<(Mailbox, ConnectionId)>,
}

impl Question {
    /// Creates a question about a connection of the reactor with this mailbox.
    pub(super) fn new(
        device: Option<Device>,
        received: Option<Moment>,
        mailbox: Mailbox,
        id: ConnectionId,
    ) -> Question {
        Question { device, received, address: Some((mailbox, id)) }
    }

    /// Tells what a client of the main hub missed.
    pub fn answer(mut self, answer: Answer) {
        self.send(Missed::Pushes(answer));
    }

    /// Tells the answer that a client of the anonymous hub waits for, `None` if it has not come yet.
    pub fn respond(mut self, response: Option<Delivery>) {
        let address = self.address.take();
        if let (Some(response), Some((mailbox, id))) = (response, address) {
            mailbox.send(Mail::Missed(id, Missed::LoginResponse(response)));
        }
    }

    fn send(&mut self, missed: Missed) {
        if let Some((mailbox, id)) = self.address.take() {
            mailbox.send(Mail::Missed(id, missed));
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.send(Missed::Pushes(Answer::UNKNOWN));
    }
}

/// The answer to a handshake goes out once this is dropped, or has waited for long enough.
#[derive(Debug)]
pub struct Ticket {
    mailbox: Mailbox,
    id: ConnectionId,
}

impl Ticket {
    /// Creates a ticket for a connection of the reactor with this mailbox.
    pub(super) fn new(mailbox: Mailbox, id: ConnectionId) -> Ticket {
        Ticket { mailbox, id }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mailbox.send(Mail::Subscribed(self.id));
    }
}

/// The reactors' side: where they tell who comes and goes.
#[derive(Debug, Clone)]
pub struct Roll {
    told: UnboundedSender<Presence>,
    waits: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
}

/// The backplane's side.
#[derive(Debug)]
pub struct Presences {
    told: UnboundedReceiver<Presence>,
    waits: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
}

/// Where the backplane says what is in the mail.
#[derive(Debug, Clone)]
pub struct Hearing(Arc<AtomicU64>);

impl Hearing {
    /// Everything that was published for clients of this process until a moment is in the mail; the earliest one: nobody hears
    /// any more.
    pub fn until(&self, moment: Moment) {
        self.0.store(moment.0, Ordering::Release);
    }
}

/// A roll and what is told there.
pub fn roll() -> (Roll, Presences) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (waits, heard) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let roll = Roll { told: sender, waits: Arc::clone(&waits), heard: Arc::clone(&heard) };
    (roll, Presences { told: receiver, waits, heard })
}

impl Roll {
    /// Whether newcomers wait until they are listened for.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Up to which moment of Redis' clock everything that was published for clients of this process is in the mail.
    pub(super) fn heard(&self) -> Moment {
        Moment(self.heard.load(Ordering::Acquire))
    }

    /// Tells of a newcomer.
    pub(super) fn came(&self, member: Member, ticket: Option<Ticket>, question: Option<Question>) {
        // Nobody listens any more at the end.
        let _ = self.told.send(Presence::Came(member, ticket, question));
    }

    /// Tells that somebody has gone.
    pub(super) fn went(&self, member: Member) {
        let _ = self.told.send(Presence::Went(member));
    }
}

/// The records of replicas that share a Redis, as a reactor sees them: the publisher of a push notes it there, and answers come
/// by the mailbox.
pub(super) struct SharedRecords(pub(super) Roll);

impl Records for SharedRecords {
    fn on_push(&mut self, _: Audience, _: Option<Device>, _: Moment) -> usize {
        0
    }

    fn look_up(&mut self, _: &Joining<'_>, _: Moment) -> Option<Answer> {
        None
    }

    fn on_received(&mut self, user: Uuid, device: Device, received: Moment, _: Moment) -> usize {
        let _ = self.0.told.send(Presence::Received(user, device, received));
        0
    }
}

impl Presences {
    /// What happened next; nothing once the reactors are gone.
    pub async fn next(&mut self) -> Option<Presence> {
        self.told.recv().await
    }

    /// Waits until something has happened and takes all of it, up to `most`; nothing once the reactors are gone.
    pub async fn take(&mut self, taken: &mut Vec<Presence>, most: usize) -> Option<usize> {
        Some(self.told.recv_many(taken, most).await).filter(|count| *count > 0)
    }

    /// Where it is said what has been heard.
    pub fn hearing(&self) -> Hearing {
        Hearing(self.heard.clone())
    }

    /// Has newcomers wait from now on, or not.
    pub fn let_wait(&self, wait: bool) {
        self.waits.store(wait, Ordering::Relaxed);
    }
}
