//! Presence: connects and disconnects, reported by the reactors to the backplane, which subscribes to the channels of the
//! connected clients. Reactors send on their threads; the backplane receives on its runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use uuid::Uuid;

use crate::auth::Principal;
use crate::catch_up::{LookupRequest, LookupResult, Records, Timestamp};
use crate::delivery::{Audience, Delivery};
use crate::notification::{ClientType, Device};
use crate::reactor::command::{CommandSender, MissedResult, ReactorCommand};
use crate::reactor::registry::Registry;
use crate::reactor::sockets::connection::Connection;
use crate::signalr::ConnectionId;
use crate::signalr::Hub;

/// What decides which pushes are for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Its hub.
    pub hub: Hub,
    /// The user, or the login request.
    pub id: Option<Uuid>,
    /// The type of the client.
    pub client_type: ClientType,
    /// The user's organizations, each once.
    pub organizations: Box<[Uuid]>,
}

impl Recipient {
    /// Returns the recipient that a registered connection is.
    pub(super) fn new(registry: &Registry, connection: &Connection) -> Recipient {
        Recipient {
            hub: connection.hub,
            id: connection.id(),
            client_type: connection.client_type,
            organizations: connection.organizations(registry),
        }
    }
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

/// A connect, a disconnect or a device's progress.
#[derive(Debug)]
pub enum PresenceEvent {
    /// A client has connected. The handshake response is held back until the guard is dropped, if there is one. The query is
    /// answered once the client's channels are subscribed to.
    Connected(Recipient, Option<SubscribeGuard>, Option<MissedQuery>),
    /// A client has disconnected.
    Disconnected(Recipient),
    /// A device of a user has surely received every push up to a moment of Redis' clock.
    DeviceReceived(Uuid, Device, Timestamp),
}

/// A query for what a client missed while it was not connected. Dropping it unanswered answers it with [`LookupResult::UNKNOWN`].
#[derive(Debug)]
pub struct MissedQuery {
    /// The client's device, or `None` if its token names none.
    pub device: Option<Device>,
    /// Up to when other connections of that device here have surely received every push, `None` if there are none.
    pub received: Option<Timestamp>,
    /// Where the answer goes; `None` once it is sent.
    reply_to: Option<(CommandSender, ConnectionId)>,
}

impl MissedQuery {
    /// Creates a query about a connection of the reactor that receives from `commands`.
    pub(super) fn new(
        device: Option<Device>,
        received: Option<Timestamp>,
        commands: CommandSender,
        id: ConnectionId,
    ) -> MissedQuery {
        MissedQuery { device, received, reply_to: Some((commands, id)) }
    }

    /// Answers a query about a client of the main hub.
    pub fn answer(mut self, answer: LookupResult) {
        self.send(MissedResult::Pushes(answer));
    }

    /// Answers a query about a client of the anonymous hub with the response to its login request, `None` if there is none yet.
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

/// Holds back a handshake response. Dropping it releases the response; so does a timeout in the reactor.
#[derive(Debug)]
pub struct SubscribeGuard {
    commands: CommandSender,
    id: ConnectionId,
}

impl SubscribeGuard {
    /// Creates a guard for a connection of the reactor that receives from `commands`.
    pub(super) fn new(commands: CommandSender, id: ConnectionId) -> SubscribeGuard {
        SubscribeGuard { commands, id }
    }
}

impl Drop for SubscribeGuard {
    fn drop(&mut self) {
        self.commands.send(ReactorCommand::Subscribed(self.id));
    }
}

/// The reactors' side of the presence channel.
#[derive(Debug, Clone)]
pub struct PresenceSender {
    events: UnboundedSender<PresenceEvent>,
    awaits_subscription: Arc<AtomicBool>,
    watermark: Arc<AtomicU64>,
}

/// The backplane's side of the presence channel.
#[derive(Debug)]
pub struct PresenceReceiver {
    events: UnboundedReceiver<PresenceEvent>,
    awaits_subscription: Arc<AtomicBool>,
    watermark: Arc<AtomicU64>,
}

/// Sets the watermark: up to when all published messages are in the command queues. Shared with every reactor.
#[derive(Debug, Clone)]
pub struct WatermarkSender(Arc<AtomicU64>);

impl WatermarkSender {
    /// Notes that every message published for clients of this process up to `timestamp` is in the reactors' command queues.
    /// `Timestamp(0)` means that the subscription is interrupted. The release pairs with [`PresenceSender::watermark`].
    pub fn set(&self, timestamp: Timestamp) {
        self.0.store(timestamp.0, Ordering::Release);
    }
}

/// Creates a presence channel.
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
    /// Returns whether handshake responses wait until the client's channels are subscribed to.
    pub(crate) fn awaits_subscription(&self) -> bool {
        self.awaits_subscription.load(Ordering::Relaxed)
    }

    /// Returns up to when, by Redis' clock, every message published for clients of this process is in the command queues.
    pub(crate) fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark.load(Ordering::Acquire))
    }

    /// Reports a connect.
    pub(crate) fn on_connected(&self, recipient: Recipient, guard: Option<SubscribeGuard>, query: Option<MissedQuery>) {
        // The receiver is gone while the process ends.
        let _ = self.events.send(PresenceEvent::Connected(recipient, guard, query));
    }

    /// Reports a disconnect.
    pub(crate) fn on_disconnected(&self, recipient: Recipient) {
        let _ = self.events.send(PresenceEvent::Disconnected(recipient));
    }
}

/// The records of replicas that share a Redis, as a reactor sees them: the publisher of a push records it in Redis, and lookup
/// results arrive as commands.
pub(crate) struct SharedRecords(pub(crate) PresenceSender);

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
    /// Returns the next event, or `None` once the reactors are gone.
    pub async fn recv(&mut self) -> Option<PresenceEvent> {
        self.events.recv().await
    }

    /// Waits for an event and takes all that are queued, up to `limit`. Returns their number, or `None` once the reactors are gone.
    pub async fn recv_many(&mut self, events: &mut Vec<PresenceEvent>, limit: usize) -> Option<usize> {
        Some(self.events.recv_many(events, limit).await).filter(|count| *count > 0)
    }

    /// Returns a sender for the watermark.
    pub fn watermark_sender(&self) -> WatermarkSender {
        WatermarkSender(self.watermark.clone())
    }

    /// Sets whether handshake responses wait until the client's channels are subscribed to.
    pub fn set_awaits_subscription(&self, wait: bool) {
        self.awaits_subscription.store(wait, Ordering::Relaxed);
    }
}
