//! What a reactor remembers of its clients and of what was pushed, and what it sends to those who missed something.

use std::sync::Arc;
use std::time::Duration;

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
                let due = self.now.after(Tick::count(REPLAY_AFTER));
                self.errands.add(due, slot, id, Errand::Replay(response));
            }
            return;
        }
        let Some(memory) = &self.memory else { return };
        let device = connection.device();
        let others = self.registry.id(Hub::Main, id).iter().filter(|other| **other != slot);
        let heard = others.filter_map(|other| match self.slots.get(*other as usize) {
            Some(Slot { state: State::Open(other), .. }) if other.device() == device => Some(heard(other)),
            _ => None,
        });
        let newcomer = Newcomer {
            user: id,
            organizations: claims.map_or(&[], |claims| &claims.organizations),
            device,
            heard: heard.max().filter(|_| device.is_some()),
        };
        let missed = match self.shared.roll {
            // What was pushed at other replicas while none of its user's clients was here, nobody here knows.
            Some(_) if newcomer.heard.is_none() => Some(Reason::UnknownDevice),
            _ => memory.missed(&newcomer, self.moment()),
        };
        if let Some(reason) = missed {
            let soon = self.now.after(Tick::count(SYNC_AFTER));
            let settled = Tick::default().after(Tick::count(SETTLED));
            let due = if reason == Reason::Restart { soon.max(settled) } else { soon };
            self.errands.add(due, slot, id, Errand::Sync(reason));
        }
    }

    /// Notes when the device of a client that goes was last heard.
    pub(super) fn note_leaving(&mut self, connection: &Connection, ending: &Ending) {
        let now = self.moment();
        let Some(memory) = &mut self.memory else { return };
        let (Some(user), Some(device), Some(_)) = (connection.user(), connection.device(), connection.joined()) else {
            return;
        };
        // Who says good-bye has had everything until now; of others nobody knows since when they were deaf.
        let heard = if *ending == Ending::Client { now } else { heard(connection) };
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
                Errand::Sync(_) => connection.make_up(self.now, &self.patience),
                Errand::Replay(delivery) => connection.deliver(delivery, self.now, &self.patience),
            };
            if let Some(sent) = sent {
                if let Errand::Sync(reason) = errand {
                    self.shared.metrics.catch_up.inc(reason.label());
                }
                self.settle(slot, sent);
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment::default().after(self.clock.elapsed())
    }
}

/// When a client was last heard: the beginning of that tick, so that nothing is taken for heard that was not.
fn heard(connection: &Connection) -> Moment {
    Moment::default().after(Tick::LENGTH * connection.last_received().0)
}
