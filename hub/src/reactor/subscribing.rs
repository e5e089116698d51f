//! What a reactor does where there is a backplane: it tells which clients come and go, and has their handshakes wait until
//! their pushes are subscribed to.

use std::sync::Arc;
use std::time::Duration;

use super::DeliveryAck;
use super::connection::Connection;
use super::event_loop::Reactor;
use super::presence::{MissedQuery, Recipient, SubscribeGuard};
use crate::catch_up::{SyncReason, Timestamp};
use crate::connection::{ConnectionId, Tick};
use crate::delivery::{Delivery, Hub};

/// How long the answer to a handshake waits for the backplane (`decisions.md` 3).
const MAX_SUBSCRIBE_WAIT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Tells the backplane of a client that has joined, asks what it missed, and has it wait if need be.
    pub(super) fn on_connected(&mut self, slot: u32) {
        let shared = self.shared.clone();
        let Some(presence) = &shared.presence else { return };
        let Some((id, connection)) = self.open_connection(slot) else { return };
        let recipient = self.recipient(connection);
        let (device, received) = (connection.device(), self.received_elsewhere(id, connection));
        let commands = &self.peers[self.number];
        let may_have_missed = match recipient.hub {
            Hub::Main => self.catch_up.is_enabled() && recipient.id.is_some(),
            Hub::Anonymous => recipient.id.is_some_and(|request| self.login_responses.get(request, self.now).is_none()),
        };
        let query = may_have_missed.then(|| MissedQuery::new(device, received, commands.clone(), id));
        let guard = presence.awaits_subscription().then(|| SubscribeGuard::new(commands.clone(), id));
        if guard.is_some() {
            self.subscribe_barrier.block(id, self.now.after(Tick::ticks_in(MAX_SUBSCRIBE_WAIT)));
        }
        presence.on_connected(recipient, guard, query);
    }

    /// Tells the backplane of a client that leaves.
    pub(super) fn on_disconnected(&mut self, id: ConnectionId, connection: &Connection) {
        if let Some(presence) = &self.shared.presence {
            self.subscribe_barrier.release(id);
            presence.on_disconnected(self.recipient(connection));
        }
    }

    /// Notes that every push up to a moment of Redis' clock was in the mailbox, which has been read. It is written unless it is
    /// still under way. The earliest moment means that the subscription is interrupted.
    pub(super) fn advance_watermark(&mut self, until: Timestamp) {
        // Single deliveries may have told of later ones already.
        if self.fan_outs.is_empty() && (until > self.catch_up.written() || until == Timestamp::default()) {
            self.catch_up.on_written(self.timestamp(), until);
        }
    }

    /// Writes a push. `published` is when Redis published it, if that is told: then all that was published before it has been
    /// written, too.
    pub(super) fn deliver_published(
        &mut self,
        delivery: &Arc<Delivery>,
        ack: Arc<DeliveryAck>,
        published: Option<Timestamp>,
    ) {
        self.deliver(delivery, ack);
        if let Some(published) = published {
            self.advance_watermark(published);
        }
    }

    fn recipient(&self, connection: &Connection) -> Recipient {
        Recipient {
            hub: connection.hub(),
            id: connection.id(),
            client_type: connection.client_type(),
            organizations: connection.organizations(&self.registry),
        }
    }

    /// Answers the handshake of a connection whose pushes are subscribed to, and sends what came behind.
    pub(super) fn on_subscribed(&mut self, id: ConnectionId) {
        if self.subscribe_barrier.release(id) {
            self.resume(id.slot);
        }
    }

    /// Answers the handshakes that have waited for too long. Their clients may have missed something: they are told to sync.
    pub(super) fn expire_subscribe_barrier(&mut self) {
        while let Some(id) = self.subscribe_barrier.pop_expired(self.now) {
            if self.connection(id).is_some_and(|connection| connection.user().is_some()) {
                self.schedule_sync(id, SyncReason::BackplaneGap, self.now);
            }
            self.resume(id.slot);
        }
    }

    fn resume(&mut self, slot: u32) {
        self.flush(slot);
        self.reschedule(slot);
    }
}
