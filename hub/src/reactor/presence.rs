//! Who comes and goes, told to a backplane: it listens elsewhere for whoever is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use super::command::{CommandSender, MissedResult, ReactorCommand};
use crate::auth::Principal;
use crate::catch_up::{LookupRequest, LookupResult, Records, Timestamp};
use crate::connection::ConnectionId;
use crate::delivery::{Audience, Delivery, Hub};
use crate::notification::{ClientType, Device};

/// A client, as far as pushes can be for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its hub.
    pub hub: Hub,
    /// The user, or the login request.
    pub id: Option<Uuid>,
    /// Its kind.
    pub client_type: ClientType,
    /// The user's organisations, each once.
    pub organizations: Box<[Uuid]>,
}

impl From<&Principal> for Recipient {
    fn from(principal: &Principal) -> Recipient {
        let (client_type, organizations) = match principal {
            Principal::User(claims) => (claims.client_type, claims.organizations.clone()),
            Principal::Anonymous(_) => (ClientType::All, Box::default()),
        };
        Recipient { hub: principal.hub(), id: principal.id(), client_type, organizations }
    }
}

/// What happened.
#[derive(Debug)]
pub enum PresenceEvent {
    /// A client has come. The answer to its handshake waits for the ticket, if there is one, and the question is to be answered
    /// once it is listened for.
    Connected(Recipient, Option<SubscribeGuard>, Option<MissedQuery>),
    /// A client has gone.
    Disconnected(Recipient),
    /// A device of a user has surely received every push up to a moment of Redis' clock.
    DeviceReceived(Uuid, Device, Timestamp),
}

/// A question what a client missed while it was not connected. One that is dropped is answered with [`LookupResult::UNKNOWN`].
#[derive(Debug)]
pub struct MissedQuery {
    /// The client's device, or `None` if its token names none.
    pub device: Option<Device>,
    /// Up to when other connections of that device here have surely received every push, `None` if there are none.
    pub received: Option<Timestamp>,
    /// Where the answer goes; `None` once it is given.
    reply_to: Option<(CommandSender, ConnectionId)>,
}

impl MissedQuery {
    /// Creates a question about a connection of the reactor with this mailbox.
    pub(super) fn new(
        device: Option<Device>,
        received: Option<Timestamp>,
        commands: CommandSender,
        id: ConnectionId,
    ) -> MissedQuery {
        MissedQuery { device, received, reply_to: Some((commands, id)) }
    }

    /// Tells what a client of the main hub missed.
    pub fn answer(mut self, answer: LookupResult) {
        self.send(MissedResult::Pushes(answer));
    }

    /// Tells the answer that a client of the anonymous hub waits for, `None` if it has not come yet.
    pub fn answer_login_request(mut self, response: Option<Delivery>) {
        let reply_to = self.reply_to.take();
        if let (Some(response), Some((commands, id))) = (response, reply_to) {
            commands.send(ReactorCommand::MissedResult(id, MissedResult::LoginResponse(response)));
        }
    }

    fn send(&mut self, missed: MissedResult) {
        if let Some((commands, id)) = self.reply_to.take() {
            commands.send(ReactorCommand::MissedResult(id, missed));
        }
    }
}

impl Drop for MissedQuery {
    fn drop(&mut self) {
        self.send(MissedResult::Pushes(LookupResult::UNKNOWN));
    }
}

/// The answer to a handshake goes out once this is dropped, or has waited for long enough.
#[derive(Debug)]
pub struct SubscribeGuard {
    commands: CommandSender,
    id: ConnectionId,
}

impl SubscribeGuard {
    /// Creates a ticket for a connection of the reactor with this mailbox.
    pub(super) fn new(commands: CommandSender, id: ConnectionId) -> SubscribeGuard {
        SubscribeGuard { commands, id }
    }
}

impl Drop for SubscribeGuard {
    fn drop(&mut self) {
        self.commands.send(ReactorCommand::Subscribed(self.id));
    }
}

/// The reactors' side: where they tell who comes and goes.
#[derive(Debug, Clone)]
pub struct PresenceSender {
    events: UnboundedSender<PresenceEvent>,
    awaits_subscription: Arc<AtomicBool>,
    watermark: Arc<AtomicU64>,
}

/// The backplane's side.
#[derive(Debug)]
pub struct PresenceReceiver {
    events: UnboundedReceiver<PresenceEvent>,
    awaits_subscription: Arc<AtomicBool>,
    watermark: Arc<AtomicU64>,
}

/// Where the backplane says what is in the mail.
#[derive(Debug, Clone)]
pub struct WatermarkSender(Arc<AtomicU64>);

impl WatermarkSender {
    /// Everything that was published for clients of this process until a moment is in the mail; the earliest one: nobody hears
    /// any more.
    pub fn set(&self, timestamp: Timestamp) {
        self.0.store(timestamp.0, Ordering::Release);
    }
}

/// A roll and what is told there.
pub fn presence_channel() -> (PresenceSender, PresenceReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (awaits_subscription, watermark) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let presence = PresenceSender {
        events: sender,
        awaits_subscription: Arc::clone(&awaits_subscription),
        watermark: Arc::clone(&watermark),
    };
    (presence, PresenceReceiver { events: receiver, awaits_subscription, watermark })
}

impl PresenceSender {
    /// Whether newcomers wait until they are listened for.
    pub(super) fn awaits_subscription(&self) -> bool {
        self.awaits_subscription.load(Ordering::Relaxed)
    }

    /// Up to which moment of Redis' clock everything that was published for clients of this process is in the mail.
    pub(super) fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark.load(Ordering::Acquire))
    }

    /// Tells of a newcomer.
    pub(super) fn on_connected(&self, recipient: Recipient, guard: Option<SubscribeGuard>, query: Option<MissedQuery>) {
        // Nobody listens any more at the end.
        let _ = self.events.send(PresenceEvent::Connected(recipient, guard, query));
    }

    /// Tells that somebody has gone.
    pub(super) fn on_disconnected(&self, recipient: Recipient) {
        let _ = self.events.send(PresenceEvent::Disconnected(recipient));
    }
}

/// The records of replicas that share a Redis, as a reactor sees them: the publisher of a push notes it there, and answers come
/// by the mailbox.
pub(super) struct SharedRecords(pub(super) PresenceSender);

impl Records for SharedRecords {
    fn on_push(&mut self, _: Audience, _: Option<Device>, _: Timestamp) -> usize {
        0
    }

    fn look_up(&mut self, _: &LookupRequest<'_>, _: Timestamp) -> Option<LookupResult> {
        None
    }

    fn on_received(&mut self, user: Uuid, device: Device, received: Timestamp, _: Timestamp) -> usize {
        let _ = self.0.events.send(PresenceEvent::DeviceReceived(user, device, received));
        0
    }
}

impl PresenceReceiver {
    /// What happened next; nothing once the reactors are gone.
    pub async fn recv(&mut self) -> Option<PresenceEvent> {
        self.events.recv().await
    }

    /// Waits until something has happened and takes all of it, up to `limit`; nothing once the reactors are gone.
    pub async fn recv_many(&mut self, events: &mut Vec<PresenceEvent>, limit: usize) -> Option<usize> {
        Some(self.events.recv_many(events, limit).await).filter(|count| *count > 0)
    }

    /// Where it is said what has been heard.
    pub fn watermark_sender(&self) -> WatermarkSender {
        WatermarkSender(self.watermark.clone())
    }

    /// Has newcomers wait from now on, or not.
    pub fn set_awaits_subscription(&self, wait: bool) {
        self.awaits_subscription.store(wait, Ordering::Relaxed);
    }
}
