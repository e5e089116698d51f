//! Who comes and goes, told to a backplane: it listens elsewhere for whoever is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use super::mailbox::{Mail, Mailbox, Missed};
use crate::auth::Guest;
use crate::catch_up::{Moment, Reason};
use crate::delivery::{Delivery, Hub};
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
    /// Of a user's client that has gone, it is known what it has heard.
    Heard(Uuid, Farewell),
}

/// Up to which moment of Redis' clock a device has heard everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell {
    /// The device.
    pub device: Device,
    /// The moment.
    pub heard: Moment,
}

/// What a client missed while it was not here. Dropped without an answer it means that nobody knows.
#[derive(Debug)]
pub struct Question {
    /// The client's device, if its token tells one.
    pub device: Option<Device>,
    /// Up to when another connection of that device here, which is still open, has heard everything.
    pub heard: Option<Moment>,
    address: Option<(Mailbox, u32, u64)>,
}

impl Question {
    /// About a client that is in a slot; the number is the question's.
    pub(super) fn new(
        device: Option<Device>,
        heard: Option<Moment>,
        mailbox: Mailbox,
        slot: u32,
        number: u64,
    ) -> Question {
        Question { device, heard, address: Some((mailbox, slot, number)) }
    }

    /// Why a client of the main hub has to sync, if it has to, as of a moment of Redis' clock.
    pub fn answer(mut self, missed: Option<Reason>, until: Moment) {
        self.send(Missed::Pushes(missed, until));
    }

    /// What a client of the anonymous hub waits for, if it has come already.
    pub fn respond(mut self, response: Option<Delivery>) {
        match response {
            Some(response) => self.send(Missed::Response(response)),
            None => self.send(Missed::Pushes(None, Moment::default())),
        }
    }

    fn send(&mut self, missed: Missed) {
        if let Some((mailbox, slot, number)) = self.address.take() {
            mailbox.send(Mail::Missed { slot, number, missed });
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.send(Missed::Pushes(Some(Reason::UnknownDevice), Moment::default()));
    }
}

/// The answer to a handshake goes out once this is dropped, or has waited for long enough.
#[derive(Debug)]
pub struct Ticket {
    mailbox: Mailbox,
    slot: u32,
    number: u64,
}

impl Ticket {
    /// For a client that waits in a slot under a number.
    pub(super) fn new(mailbox: Mailbox, slot: u32, number: u64) -> Ticket {
        Ticket { mailbox, slot, number }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.mailbox.send(Mail::Listening { slot: self.slot, number: self.number });
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

    /// Tells what a device of a user has heard.
    pub(super) fn farewell(&self, user: Uuid, farewell: Farewell) {
        let _ = self.told.send(Presence::Heard(user, farewell));
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
