//! What a reactor does where there is a backplane: it tells who comes and goes, has newcomers wait until they are listened
//! for, and makes up for what nobody heard.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Receipt;
use super::catching_up::{has_had_everything, heard};
use super::connection::Connection;
use super::event_loop::Reactor;
use super::mailbox::Missed;
use super::presence::{Farewell, Member, Question, Ticket};
use super::slot::{Slot, State};
use crate::catch_up::{Moment, Reason};
use crate::connection::{Ending, Tick};
use crate::delivery::{Delivery, Hub};

/// How long the answer to a handshake waits for the backplane (`decisions.md` 3).
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Tells of a client that has joined, asks what it missed, and has it wait if need be.
    pub(super) fn announce(&mut self, slot: u32) {
        let shared = self.shared.clone();
        let Some(roll) = &shared.roll else { return };
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize) else { return };
        let member = self.member(connection);
        let device = connection.device();
        let others_heard = self.others_of(slot, connection).map(|other| self.horizon.at(heard(other))).max();
        let mailbox = &self.peers[self.number];
        let ticket = roll.waits().then(|| {
            let number = self.waiting.add(slot, self.now.after(Tick::count(LONGEST_WAIT)));
            Ticket::new(mailbox.clone(), slot, number)
        });
        let may_have_missed = match member.hub {
            Hub::Main => shared.config.catch_up.enabled && member.id.is_some(),
            Hub::Anonymous => member.id.is_some_and(|request| self.responses.find(request, self.now).is_none()),
        };
        let question = may_have_missed.then(|| {
            let number = self.debts.ask(slot);
            Question::new(device, others_heard, mailbox.clone(), slot, number)
        });
        roll.came(member, ticket, question);
    }

    /// Tells of a client that is about to leave.
    pub(super) fn announce_leaving(&mut self, slot: u32, connection: &Connection, ending: &Ending) {
        let Some(roll) = &self.shared.roll else { return };
        self.waiting.forget(slot);
        roll.went(self.member(connection));
        let clean = has_had_everything(connection, ending);
        let heard = if clean { self.horizon.now() } else { self.horizon.at(heard(connection)) };
        // Who has yet to be told to sync has not heard what that is for.
        let is_known = self.shared.config.catch_up.enabled && !connection.is_owed();
        let heard = self.debts.settle(slot, heard).filter(|_| is_known);
        let (Some(user), Some(device), Some(heard)) = (connection.user(), connection.device(), heard) else { return };
        let farewell = Farewell { device, heard };
        // What was heard since the last turn is known once there is no more mail of before.
        if clean && self.fan_outs.is_empty() {
            self.farewells.push((user, farewell));
        } else {
            roll.farewell(user, farewell);
        }
    }

    /// Everything that was published until then was in the mail, which has been read, and is written unless it is still under way.
    pub(super) fn have_heard(&mut self, until: Moment) {
        if !self.fan_outs.is_empty() {
            return;
        }
        self.say_farewells(until);
        // Mail may have told of later ones already; the earliest means that nobody hears any more.
        if until > self.horizon.now() || until == Moment::default() {
            self.horizon.advance(self.moment(), until);
            self.debts.all_heard(until);
        }
    }

    /// Everything that was published until then was written, while those were here who have left in good order since.
    pub(super) fn say_farewells(&mut self, until: Moment) {
        let Some(roll) = &self.shared.roll else { return };
        for (user, Farewell { device, heard }) in self.farewells.drain(..) {
            roll.farewell(user, Farewell { device, heard: heard.max(until) });
        }
    }

    /// Writes a push of which it may be told when Redis has published it: then all that was before it has been written, too.
    pub(super) fn deliver_at(&mut self, delivery: &Arc<Delivery>, receipt: Arc<Receipt>, published: Option<Moment>) {
        let before = published.map_or(self.horizon.now(), |Moment(at)| Moment(at.saturating_sub(1)));
        self.say_farewells(before);
        self.deliver(delivery, receipt);
        if let Some(published) = published.filter(|at| self.fan_outs.is_empty() && *at > self.horizon.now()) {
            self.horizon.advance(self.moment(), published);
        }
    }

    /// The answer to what was asked about a client.
    pub(super) fn hear_what_was_missed(&mut self, slot: u32, number: u64, missed: Missed) {
        if !self.debts.answered(slot, number) {
            return;
        }
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize) else { return };
        let Some(id) = connection.id() else { return };
        match missed {
            Missed::Pushes(Some(reason), until) if connection.hub() == Hub::Main => {
                self.owe_sync(slot, id, reason, until, self.now);
            }
            // One that came meanwhile was for this client, too.
            Missed::Response(response) if self.responses.find(id, self.now).is_none() => {
                let response = Arc::new(response);
                self.responses.keep(id, response.clone(), self.now);
                self.owe_response(slot, id, response);
            }
            Missed::Pushes(..) | Missed::Response(_) => {}
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

    /// A client is listened for: it hears the answer to its handshake, and what came behind that.
    pub(super) fn is_listened_for(&mut self, slot: u32, number: u64) {
        if self.waiting.end(slot, number) {
            self.let_go_on(slot);
        }
    }

    /// Lets those go on that have waited for too long. They may have missed something: they are told to sync.
    pub(super) fn end_waits(&mut self) {
        while let Some(slot) = self.waiting.expired(self.now) {
            if let Some((slot, user)) = self.user(slot).filter(|_| self.shared.config.catch_up.enabled) {
                self.owe_sync(slot, user, Reason::BackplaneGap, Moment::default(), self.now);
            }
            self.let_go_on(slot);
        }
    }

    /// Tells all users to sync, after a while and evenly spread: nobody knows what was not heard.
    pub(super) fn make_up(&mut self, after: Duration, over: Duration) {
        if !self.shared.config.catch_up.enabled {
            return;
        }
        let users: Vec<(u32, Uuid)> = self.slots.iter().filter_map(|(slot, _)| self.user(slot as u32)).collect();
        let count = users.len().max(1) as u32;
        for (place, (slot, user)) in (0..).zip(users) {
            let turn = self.now.after(Tick::count(after + over.saturating_mul(place) / count));
            self.owe_sync(slot, user, Reason::BackplaneGap, Moment::default(), turn);
        }
    }

    /// The user in a slot, if it is a client of the main hub whose handshake is done.
    fn user(&self, slot: u32) -> Option<(u32, Uuid)> {
        match self.slots.get(slot as usize).map(|slot| &slot.state) {
            Some(State::Open(connection)) if connection.joined().is_some() => Some((slot, connection.user()?)),
            _ => None,
        }
    }

    fn let_go_on(&mut self, slot: u32) {
        self.flush(slot);
        self.rearm(slot);
    }
}
