//! A reactor's side of the backplane: reports connects and disconnects, and holds back handshake responses until the client's
//! channels are subscribed to.

use std::sync::Arc;
use std::time::Duration;

use super::presence::{MissedQuery, Recipient, SubscribeGuard};
use crate::catch_up::{SyncReason, Timestamp};
use crate::delivery::Delivery;
use crate::reactor::DeliveryAck;
use crate::reactor::connections::connection::Connection;
use crate::reactor::event_loop::Reactor;
use crate::signalr::Hub;
use crate::signalr::{ConnectionId, Tick};

/// How long a handshake response waits for the backplane.
const MAX_SUBSCRIBE_WAIT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Reports a client whose handshake succeeded, queries what it missed, and holds back its handshake response if needed.
    pub(crate) fn on_connected(&mut self, slot: u32) {
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

    /// Reports that a client disconnects.
    pub(crate) fn on_disconnected(&mut self, id: ConnectionId, connection: &Connection) {
        if let Some(presence) = &self.shared.presence {
            self.subscribe_barrier.release(id);
            presence.on_disconnected(self.recipient(connection));
        }
    }

    /// Notes that every push up to a time of Redis' clock was in the command queue, which has been run. All of them are written
    /// unless a fan-out is running. `Timestamp(0)` means that the subscription is interrupted.
    pub(crate) fn advance_watermark(&mut self, until: Timestamp) {
        // A single delivery may have advanced the watermark further already.
        if self.fan_outs.is_empty() && (until > self.catch_up.written() || until == Timestamp::default()) {
            self.catch_up.on_written(self.timestamp(), until);
        }
    }

    /// Writes a push. `published` is when Redis published it, `None` if that is not known: every push that was published before
    /// has been written, too.
    pub(crate) fn deliver_published(
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

    /// Releases the handshake response of a connection whose channels are subscribed to, and the frames behind it.
    pub(crate) fn on_subscribed(&mut self, id: ConnectionId) {
        if self.subscribe_barrier.release(id) {
            self.resume(id.slot);
        }
    }

    /// Releases handshake responses that have waited for too long. Their clients may have missed pushes, so they are sent a sync.
    pub(crate) fn expire_subscribe_barrier(&mut self) {
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
