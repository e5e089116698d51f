//! What a reactor does with its clients: adopts them, hears them, writes to them, lets go of them.

use std::collections::hash_map::Entry;
use std::time::Duration;

use uuid::Uuid;

use super::connection::{Connection, Heard, Sent};
use super::event_loop::Reactor;
use super::mailbox::{Newcomer, Welcome};
use super::outbox::Outbox;
use super::slot::{Slot, State};
use crate::auth::Guest;
use crate::connection::{ConnectionId, Ending, Overdue};
use crate::protocol::Protocol;
use crate::transport::refusal::Refusal;
use crate::transport::websocket::Outgoing;

/// How long a client has to answer a Close.
const CLOSE_LINGERS: Duration = Duration::from_secs(5);

/// How often one socket is read before the others have their turn.
const READS: usize = 4;

impl Reactor {
    /// Takes over a client from the reactor that accepted it.
    pub(super) fn adopt_from_peer(&mut self, mut newcomer: Newcomer) {
        if let Some(slot) = self.reserve(&mut newcomer.socket) {
            self.adopt(slot, newcomer);
        }
    }

    /// Answers the upgrade of a client, whose slot is empty until now.
    pub(super) fn adopt(&mut self, slot: u32, newcomer: Newcomer) {
        let Newcomer { socket, mut leftover, unread, guest, transport, place, welcome } = newcomer;
        let refusal = self.objection(&guest);
        let accept = match (welcome, refusal) {
            (Welcome::Upgrade(accept), None) => accept,
            (Welcome::Upgrade(_), Some(refusal)) => {
                return self.depart(slot, socket, Outbox::of(&refusal.bytes(), self.now), CLOSE_LINGERS);
            }
            (Welcome::Relay(told), refusal) => {
                let refused = refusal.is_some();
                // A relay that is gone has hung up: its socket says so, too.
                let _ = told.send(refusal);
                if refused {
                    self.slots.remove(slot as usize);
                    return;
                }
                Vec::new()
            }
        };
        let mut connection = Connection::new(socket, guest, transport, place, self.now);
        let answered = connection.answer(&accept, self.now, &self.patience);
        let mut outgoing = Outgoing { sooner: true, ..Outgoing::reusing(&mut self.spare) };
        let ending = connection.take(&mut leftover, self.now, &self.terms, &mut outgoing);
        self.slots[slot as usize].state = State::Open(connection);
        self.clients += 1;
        self.settle(slot, answered);
        self.carry(slot, outgoing, ending);
        if unread {
            self.read_again(slot, false);
        }
    }

    /// What speaks against a client on its own reactor.
    fn objection(&mut self, guest: &Guest) -> Option<Refusal> {
        let most = self.shared.config.limits.per_user;
        let (outcome, refusal) = if self.is_draining() {
            ("unavailable", Refusal::busy("This server is shutting down."))
        } else if let (Guest::User(_), Some(user)) = (guest, guest.id())
            && most > 0
            && !self.enter(user, most)
        {
            ("limited", Refusal::too_many("There are too many connections of this user."))
        } else {
            self.shared.metrics.connects.inc("accepted");
            return None;
        };
        self.shared.metrics.connects.inc(outcome);
        Some(refusal)
    }

    /// Counts a client of a user in, unless there are so many.
    fn enter(&mut self, user: Uuid, most: usize) -> bool {
        let count = self.users.entry(user).or_default();
        let room = *count < most;
        *count += usize::from(room);
        room
    }

    /// Counts a client of a user out.
    fn exit(&mut self, user: Uuid) {
        if let Entry::Occupied(mut count) = self.users.entry(user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Reads what a client has sent. `closed`: it may have hung up behind that.
    pub(super) fn hear(&mut self, slot: u32, closed: bool) {
        for _ in 0..READS {
            let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
            let mut outgoing = Outgoing::reusing(&mut self.spare);
            let before = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            let heard = connection.hear(&mut self.buffer, closed, self.now, &self.terms, &mut outgoing);
            let after = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            if after > before {
                self.note_unfinished(after - before);
            }
            match heard {
                Heard::All if outgoing.is_empty() => {
                    self.spare = outgoing.bytes;
                    return;
                }
                Heard::All => return self.carry(slot, outgoing, None),
                Heard::More => self.carry(slot, outgoing, None),
                Heard::End(ending) => return self.carry(slot, outgoing, Some(ending)),
            }
        }
        self.read_again(slot, closed);
    }

    /// Carries out what a session asks for.
    fn carry(&mut self, slot: u32, outgoing: Outgoing, ending: Option<Ending>) {
        if let Some(protocol) = outgoing.opened {
            self.open(slot, protocol);
        }
        if let Some(ending) = ending {
            self.close(slot, ending, &outgoing.bytes);
        } else if !outgoing.bytes.is_empty()
            && let Some(Slot { state: State::Open(connection), generation, .. }) = self.slots.get_mut(slot as usize)
        {
            let sent = if self.subscribe_barrier.holds(ConnectionId { slot, generation: *generation }) {
                connection.hold_back(&outgoing.bytes, self.now)
            } else {
                connection.answer(&outgoing.bytes, self.now, &self.patience)
            };
            self.settle(slot, sent);
        }
        if outgoing.sooner {
            self.rearm(slot);
        }
        self.spare = outgoing.bytes;
    }

    /// A handshake was good: the client joins its groups before it hears so.
    fn open(&mut self, slot: u32, protocol: Protocol) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) {
            let claims = connection.claims();
            connection.join(slot, protocol, &mut self.registry);
            self.shared
                .metrics
                .connected(connection.hub(), connection.client_type(), protocol, connection.transport())
                .inc();
            tracing::debug!(id = ?connection.id(), protocol = protocol.name(), "a client has connected");
            self.announce(slot);
            self.look_back(slot, claims.as_deref());
        }
    }

    /// A socket takes bytes again.
    pub(super) fn flush(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), generation, .. }) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let id = ConnectionId { slot, generation: *generation };
        if !connection.is_waiting() || self.subscribe_barrier.holds(id) {
            return;
        }
        match connection.flush(self.now) {
            Sent::Broken => self.close(slot, Ending::Reset, &[]),
            Sent::Written => {
                self.catch_up.on_drained(id, self.now);
                // Until now it was looked at by how long it takes nothing; now pings are due again.
                self.rearm(slot);
                // What it has said meanwhile was announced then, perhaps with its end.
                self.hear(slot, true);
            }
            _ => {}
        }
    }

    /// A client's time has come.
    pub(super) fn tick(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
        let sent = match connection.overdue(self.now, &self.terms, &self.patience) {
            None => Sent::Written,
            Some(Overdue::Ping(protocol)) => connection.ping(&self.pings[protocol as usize], self.now),
            Some(Overdue::End(ending)) => return self.end(slot, ending),
        };
        if let Some(due) = connection.due(&self.terms, &self.patience) {
            self.arm(slot, due);
        }
        self.settle(slot, sent);
    }

    /// Brings the next look at a client forward, if something is due earlier than was arranged.
    pub(super) fn rearm(&mut self, slot: u32) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize)
            && let Some(due) = connection.due(&self.terms, &self.patience)
        {
            self.arm(slot, due);
        }
    }

    /// Ends a client from this side, and tells it why.
    pub(super) fn end(&mut self, slot: u32, ending: Ending) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) {
            let mut outgoing = Outgoing::reusing(&mut self.spare);
            let ending = connection.end(ending, &mut outgoing);
            self.close(slot, ending, &outgoing.bytes);
        }
    }

    /// Sees to what became of something written.
    pub(super) fn settle(&mut self, slot: u32, sent: Sent) {
        let slow = |action| self.shared.metrics.slow_consumers.inc(action);
        match sent {
            Sent::Written => {}
            Sent::Queued => {
                let Some((id, _)) = self.open_connection(slot) else { return };
                self.catch_up.on_backlog(id, self.now);
                // One that waits for the backplane is not slow.
                if !self.subscribe_barrier.holds(id) {
                    slow("queued");
                    self.rearm(slot);
                }
            }
            Sent::Collapsed => slow("collapsed"),
            Sent::Slow => self.close(slot, Ending::Slow, &[]),
            Sent::Broken => self.close(slot, Ending::Reset, &[]),
        }
    }

    /// Ends a client, which gets `last` where it can still be told.
    fn close(&mut self, slot: u32, ending: Ending, last: &[u8]) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let State::Open(connection) = entry.take() else { return };
        let id = ConnectionId { slot, generation: entry.generation };
        self.clients -= 1;
        if let Some(protocol) = connection.joined() {
            self.announce_leaving(id, &connection);
            let metrics = &self.shared.metrics;
            metrics.connected(connection.hub(), connection.client_type(), protocol, connection.transport()).dec();
            let slots = &mut self.slots;
            connection.leave(slot, &mut self.registry, |other, number, membership| {
                if let Some(Slot { state: State::Open(other), .. }) = slots.get_mut(other as usize) {
                    other.moved(number, membership);
                }
            });
        }
        if let Some(user) = connection.user().filter(|_| self.shared.config.limits.per_user > 0) {
            self.exit(user);
        }
        let metrics = &self.shared.metrics;
        metrics.closes.inc(ending.label());
        if let Ending::Handshake(error) = &ending {
            metrics.handshake_failures.inc(error.label());
        }
        tracing::debug!(id = ?connection.id(), reason = ending.label(), detail = ?ending, "a client has gone");
        self.note_leaving(id, &connection, &ending);
        let metrics = &self.shared.metrics;
        if matches!(ending, Ending::Slow | Ending::Reset) {
            if ending == Ending::Slow {
                metrics.slow_consumers.inc("reset");
                let lost = connection.uncovered();
                if lost > 0 {
                    metrics.slow_consumer_losses.inc_by(lost as u64);
                    tracing::warn!(id = ?connection.id(), lost, "slow client reset; notifications that no sync covers are lost");
                }
            }
            // A full or broken socket takes no last words.
            connection.socket.reset();
            self.slots.remove(slot as usize);
            return;
        }
        let (socket, mut outbox) = connection.into_parts(self.now);
        if !last.is_empty() {
            outbox.push_own(last);
        }
        if ending == Ending::HungUp && outbox.is_empty() {
            // Both sides are done.
            self.slots.remove(slot as usize);
            return;
        }
        self.depart(slot, socket, outbox, CLOSE_LINGERS);
    }
}
