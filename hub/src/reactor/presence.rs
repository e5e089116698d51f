//! Who comes and goes, told to a backplane: it listens elsewhere for whoever is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use super::mailbox::{Mail, Mailbox};
use crate::auth::Guest;
use crate::delivery::Hub;
use crate::notification::ClientType;

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
    /// A client has come. The answer to its handshake waits for the ticket, if there is one.
    Came(Member, Option<Ticket>),
    /// A client has gone.
    Went(Member),
}

/// The answer to a handshake goes out once this is dropped, or has waited for long enough.
#[derive(Debug)]
pub struct Ticket {
    mailbox: Mailbox,
    slot: u32,
    number: u64,
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
}

/// The backplane's side.
#[derive(Debug)]
pub struct Presences {
    told: UnboundedReceiver<Presence>,
    waits: Arc<AtomicBool>,
}

/// A roll and what is told there.
pub fn roll() -> (Roll, Presences) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let waits = Arc::new(AtomicBool::new(true));
    (Roll { told: sender, waits: waits.clone() }, Presences { told: receiver, waits })
}

impl Roll {
    /// Whether newcomers wait until they are listened for.
    pub(super) fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Tells of a newcomer, who waits under a number or does not.
    pub(super) fn came(&self, member: Member, slot: u32, waiting: Option<(u64, Mailbox)>) {
        let ticket = waiting.map(|(number, mailbox)| Ticket { mailbox, slot, number });
        // Nobody listens any more at the end.
        let _ = self.told.send(Presence::Came(member, ticket));
    }

    /// Tells that somebody has gone.
    pub(super) fn went(&self, member: Member) {
        let _ = self.told.send(Presence::Went(member));
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

    /// Has newcomers wait from now on, or not.
    pub fn let_wait(&self, wait: bool) {
        self.waits.store(wait, Ordering::Relaxed);
    }
}
