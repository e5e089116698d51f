//! What a reactor remembers of its clients and of what was pushed, and what it sends to those who missed something.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::connection::Connection;
use super::errands::Errand;
use super::event_loop::Reactor;
use super::slot::{Slot, State};
use crate::auth::Claims;
use crate::catch_up::{Moment, Newcomer, Reason};
use crate::connection::{Ending, Tick};
use crate::delivery::{Audience, Delivery, Hub};

/// How long after its handshake a client is caught up: by then it listens.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// After a start everybody comes at once and nobody knows what was missed: nobody is caught up earlier than this.
const SETTLED: Duration = Duration::from_secs(30);

/// How long after its handshake a client hears an answer that came before it: clients listen only then.
const REPLAY_AFTER: Duration = Duration::from_millis(500);

impl Reactor {
    /// Notes a push, for those who are away.
    pub(super) fn remember(&mut self, delivery: &Arc<Delivery>) {
        if let Audience::LoginRequest(request) = delivery.audience {
            self.responses.keep(request, delivery.clone(), self.now);
        }
        let now = self.moment();
        if let Some(memory) = self.memory.as_mut().filter(|_| delivery.covered) {
            let dropped = memory.pushed(delivery.audience, delivery.device, now);
            self.shared.metrics.catch_up_dropped.inc_by(dropped as u64);
        }
    }

    /// Sees whether a client that has just connected missed something.
    pub(super) fn look_back(&mut self, slot: u32, claims: Option<&Claims>) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize) else { return };
        let Some(id) = connection.id() else { return };
        if connection.hub() == Hub::Anonymous {
            if let Some(response) = self.responses.find(id, self.now) {
                self.owe_response(slot, id, response);
            }
            return;
        }
        let Some(memory) = &self.memory else { return };
        let newcomer = Newcomer {
            user: id,
            organizations: claims.map_or(&[], |claims| &claims.organizations),
            device: connection.device(),
            heard: self.others_of(slot, connection).map(heard).max(),
        };
        if let Some(reason) = memory.missed(&newcomer, self.moment()) {
            let settled = Tick::default().after(Tick::count(SETTLED));
            let earliest = if reason == Reason::Restart { settled } else { self.now };
            self.owe_sync(slot, id, reason, Moment::default(), earliest);
        }
    }

    /// The other clients of a client's device that are still here and have heard everything.
    pub(super) fn others_of(&self, slot: u32, connection: &Connection) -> impl Iterator<Item = &Connection> {
        let device = connection.device();
        let user = connection.user().filter(|_| device.is_some());
        let slots = user.map_or(&[][..], |user| self.registry.id(Hub::Main, user));
        let others = slots.iter().filter(move |other| **other != slot && !self.debts.hold(**other));
        others.filter_map(move |other| match self.slots.get(*other as usize) {
            Some(Slot { state: State::Open(other), .. }) if other.device() == device && !other.is_owed() => Some(other),
            _ => None,
        })
    }

    /// Will tell a client to sync, which makes up for what it missed until a moment: when it listens, and not before `earliest`.
    pub(super) fn owe_sync(&mut self, slot: u32, user: Uuid, reason: Reason, until: Moment, earliest: Tick) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
        if connection.owe() {
            self.debts.forget(slot);
            let due = self.now.after(Tick::count(SYNC_AFTER)).max(earliest);
            self.errands.add(due, slot, user, Errand::Sync(reason, until));
        }
    }

    /// Will replay to a client the answer to its login request.
    pub(super) fn owe_response(&mut self, slot: u32, request: Uuid, response: Arc<Delivery>) {
        let due = self.now.after(Tick::count(REPLAY_AFTER));
        self.errands.add(due, slot, request, Errand::Replay(response));
    }

    /// Notes when the device of a client that goes was last heard.
    pub(super) fn note_leaving(&mut self, slot: u32, connection: &Connection, ending: &Ending) {
        let now = self.moment();
        let Some(memory) = &mut self.memory else { return };
        let heard = if has_had_everything(connection, ending) { now } else { heard(connection) };
        // Who has yet to be told to sync has not heard what that is for.
        let heard = self.debts.settle(slot, heard).filter(|_| !connection.is_owed());
        let (Some(user), Some(device), Some(_)) = (connection.user(), connection.device(), connection.joined()) else {
            return;
        };
        let Some(heard) = heard else { return };
        let dropped = memory.left(user, device, heard, now);
        self.shared.metrics.catch_up_dropped.inc_by(dropped as u64);
    }

    /// Sends what is due.
    pub(super) fn run_errands(&mut self) {
        for (slot, id, errand) in self.errands.take(self.now) {
            let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { continue };
            // Somebody else may be in the slot by now.
            if connection.id() != Some(id) {
                continue;
            }
            let sent = match &errand {
                Errand::Sync(..) if !connection.pay() => None,
                Errand::Sync(_, until) => {
                    self.debts.pay(slot, *until, self.horizon.now());
                    connection.make_up(self.now, &self.patience)
                }
                // A later one has reached it meanwhile.
                Errand::Replay(response) if !self.responses.is_latest(id, response) => None,
                Errand::Replay(response) => connection.deliver(response, self.now, &self.patience),
            };
            if let Some(sent) = sent {
                if let Errand::Sync(reason, _) = errand {
                    self.shared.metrics.catch_up.inc(reason.label());
                }
                self.settle(slot, sent);
            }
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment::default().after(self.clock.elapsed())
    }
}

/// Who says good-bye has had everything until then; of others nobody knows since when they were deaf.
pub(super) fn has_had_everything(connection: &Connection, ending: &Ending) -> bool {
    *ending == Ending::Client && !connection.is_waiting()
}

/// When a client was last heard: the beginning of that tick, so that nothing is taken for heard that was not.
pub(super) fn heard(connection: &Connection) -> Moment {
    Moment::default().after(Tick::LENGTH * connection.last_received().0)
}
