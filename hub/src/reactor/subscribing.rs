//! What a reactor does where there is a backplane: it tells which clients come and go, and has their handshakes wait until
//! their pushes are subscribed to.

use std::sync::Arc;
use std::time::Duration;

use super::Receipt;
use super::connection::Connection;
use super::event_loop::Reactor;
use super::presence::{Member, Question, Ticket};
use crate::catch_up::{Moment, Reason};
use crate::connection::{ConnectionId, Tick};
use crate::delivery::{Delivery, Hub};

/// How long the answer to a handshake waits for the backplane (`decisions.md` 3).
const MAX_SUBSCRIBE_WAIT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Tells the backplane of a client that has joined, asks what it missed, and has it wait if need be.
    pub(super) fn announce(&mut self, slot: u32) {
        let shared = self.shared.clone();
        let Some(roll) = &shared.roll else { return };
        let Some((id, connection)) = self.open_connection(slot) else { return };
        let member = self.member(connection);
        let (device, received) = (connection.device(), self.received_elsewhere(id, connection));
        let mailbox = &self.peers[self.number];
        let may_have_missed = match member.hub {
            Hub::Main => self.catch_up.is_enabled() && member.id.is_some(),
            Hub::Anonymous => member.id.is_some_and(|request| self.responses.find(request, self.now).is_none()),
        };
        let question = may_have_missed.then(|| Question::new(device, received, mailbox.clone(), id));
        let ticket = roll.waits().then(|| Ticket::new(mailbox.clone(), id));
        if ticket.is_some() {
            self.subscribe_barrier.add(id, self.now.after(Tick::count(MAX_SUBSCRIBE_WAIT)));
        }
        roll.came(member, ticket, question);
    }

    /// Tells the backplane of a client that leaves.
    pub(super) fn announce_leaving(&mut self, id: ConnectionId, connection: &Connection) {
        if let Some(roll) = &self.shared.roll {
            self.subscribe_barrier.release(id);
            roll.went(self.member(connection));
        }
    }

    /// Notes that every push up to a moment of Redis' clock was in the mailbox, which has been read. It is written unless it is
    /// still under way. The earliest moment means that the subscription is interrupted.
    pub(super) fn on_stream(&mut self, until: Moment) {
        // Single deliveries may have told of later ones already.
        if self.fan_outs.is_empty() && (until > self.catch_up.written() || until == Moment::default()) {
            self.catch_up.on_written(self.moment(), until);
        }
    }

    /// Writes a push. `published` is when Redis published it, if that is told: then all that was published before it has been
    /// written, too.
    pub(super) fn deliver_published(
        &mut self,
        delivery: &Arc<Delivery>,
        receipt: Arc<Receipt>,
        published: Option<Moment>,
    ) {
        self.deliver(delivery, receipt);
        if let Some(published) = published {
            self.on_stream(published);
        }
    }

    fn member(&self, connection: &Connection) -> Member {
        Member {
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
        while let Some(id) = self.subscribe_barrier.expired(self.now) {
            if self.connection(id).is_some_and(|connection| connection.user().is_some()) {
                self.owe_sync(id, Reason::BackplaneGap, self.now);
            }
            self.resume(id.slot);
        }
    }

    fn resume(&mut self, slot: u32) {
        self.flush(slot);
        self.rearm(slot);
    }
}
