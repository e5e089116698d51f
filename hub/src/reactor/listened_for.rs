//! What a reactor does where there is a backplane: it tells who comes and goes, has newcomers wait until they are listened
//! for, and makes up for what nobody heard.

use std::time::Duration;

use uuid::Uuid;

use super::connection::Connection;
use super::errands::Errand;
use super::event_loop::Reactor;
use super::presence::Member;
use super::slot::{Slot, State};
use crate::catch_up::Reason;
use crate::connection::Tick;

/// How long the answer to a handshake waits for the backplane (`decisions.md` 3).
const LONGEST_WAIT: Duration = Duration::from_secs(1);

impl Reactor {
    /// Tells of a client that has joined, and has it wait if need be.
    pub(super) fn announce(&mut self, slot: u32) {
        let Some(roll) = &self.shared.roll else { return };
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize) else { return };
        let member = self.member(connection);
        let wait = roll.waits().then(|| {
            let number = self.waiting.add(slot, self.now.after(Tick::count(LONGEST_WAIT)));
            (number, self.peers[self.number].clone())
        });
        roll.came(member, slot, wait);
    }

    /// Tells of a client that is about to leave.
    pub(super) fn announce_leaving(&mut self, slot: u32, connection: &Connection) {
        if let Some(roll) = &self.shared.roll {
            self.waiting.forget(slot);
            roll.went(self.member(connection));
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
            let due = self.now.after(Tick::count(LONGEST_WAIT));
            if let Some((slot, user)) = self.user(slot).filter(|_| self.memory.is_some()) {
                self.errands.add(due, slot, user, Errand::Sync(Reason::BackplaneGap));
            }
            self.let_go_on(slot);
        }
    }

    /// Tells all users to sync, evenly spread: nobody knows what was not heard.
    pub(super) fn make_up(&mut self, over: Duration) {
        if self.memory.is_none() {
            return;
        }
        let users: Vec<(u32, Uuid)> = self.slots.iter().filter_map(|(slot, _)| self.user(slot as u32)).collect();
        let count = users.len().max(1) as u32;
        for (place, (slot, user)) in (0..).zip(users) {
            let due = self.now.after(Tick::count(over.saturating_mul(place) / count));
            self.errands.add(due, slot, user, Errand::Sync(Reason::BackplaneGap));
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
