//! A reactor's side of catch-up: reports events to [`CatchUp`], and sends the `SyncVault` frames that it asks for.
//!
//! [`CatchUp`]: crate::catch_up::CatchUp

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::auth::Claims;
use crate::catch_up::{LookupRequest, SyncReason, Timestamp};
use crate::delivery::{Audience, Delivery};
use crate::notification::Device;
use crate::reactor::command::MissedResult;
use crate::reactor::connections::connection::Connection;
use crate::reactor::connections::slot::{Slot, State};
use crate::reactor::event_loop::Reactor;
use crate::signalr::Hub;
use crate::signalr::{CloseReason, ConnectionId, Tick};

/// How long after its handshake a client is sent a response that came before: clients handle pushes only then.
const LOGIN_RESPONSE_DELAY: Duration = Duration::from_millis(500);

impl Reactor {
    /// Returns the connection in a slot and its id, or `None` if there is none.
    pub(crate) fn open_connection(&self, slot: u32) -> Option<(ConnectionId, &Connection)> {
        match self.slots.get(slot as usize) {
            Some(Slot { state: State::Open(connection), generation, .. }) => {
                Some((ConnectionId { slot, generation: *generation }, connection))
            }
            _ => None,
        }
    }

    /// Returns a connection, or `None` if it is closed.
    pub(crate) fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        match self.slots.get_mut(id.slot as usize) {
            Some(Slot { state: State::Open(connection), generation, .. }) if *generation == id.generation => {
                Some(connection)
            }
            _ => None,
        }
    }

    /// Records a push, before it is written to any connection.
    pub(crate) fn record_push(&mut self, delivery: &Arc<Delivery>) {
        if let Audience::LoginRequest(request) = delivery.audience {
            self.login_responses.insert(request, delivery.clone(), self.now);
        }
        if delivery.covered {
            let dropped = self.catch_up.on_push(delivery.audience, delivery.device, self.timestamp());
            self.shared.metrics.catch_up_dropped.inc_by(dropped as u64);
        }
    }

    /// Looks up what a client missed whose handshake just succeeded.
    pub(crate) fn check_missed(&mut self, slot: u32, claims: Option<&Claims>) {
        let Some((id, connection)) = self.open_connection(slot) else { return };
        match (connection.hub(), connection.id()) {
            (Hub::Anonymous, Some(request)) => {
                if let Some(response) = self.login_responses.get(request, self.now) {
                    self.send_login_response(id, response);
                }
            }
            (Hub::Main, Some(user)) => {
                let organizations = claims.map_or(&[][..], |claims| &claims.organizations);
                let (device, received) = (connection.device(), self.received_elsewhere(id, connection));
                let client = LookupRequest { user, organizations, device, received };
                self.catch_up.on_join(id, &client, self.now, self.timestamp());
            }
            (_, None) => {}
        }
    }

    /// Returns up to when the other connections of a connection's device here have surely received every push.
    pub(crate) fn received_elsewhere(&self, id: ConnectionId, connection: &Connection) -> Option<Timestamp> {
        let device = connection.device()?;
        let slots = self.registry.slots_of(Hub::Main, connection.user()?).iter();
        let others = slots.filter(|slot| **slot != id.slot).filter_map(|slot| self.open_connection(*slot));
        let same = others.filter(|(_, other)| other.device() == Some(device));
        same.filter_map(|(id, other)| self.catch_up.received(id, other.last_received())).max()
    }

    /// Takes the result of a lookup.
    pub(crate) fn on_missed(&mut self, id: ConnectionId, missed: MissedResult) {
        let Some(target) = self.connection(id).and_then(|connection| connection.id()) else { return };
        match missed {
            MissedResult::Pushes(result) => self.catch_up.on_lookup_result(id, target, result, self.now),
            // A response that was pushed meanwhile was written to this client, too.
            MissedResult::LoginResponse(response) if self.login_responses.get(target, self.now).is_none() => {
                let response = Arc::new(response);
                self.login_responses.insert(target, response.clone(), self.now);
                self.send_login_response(id, response);
            }
            MissedResult::LoginResponse(_) => {}
        }
    }

    /// Schedules a sync for every user, after a delay and evenly spread: which pushes the backplane lost is not known.
    pub(crate) fn sync_all(&mut self, after: Duration, over: Duration) {
        let open = self.slots.iter().filter_map(|(slot, _)| self.open_connection(slot as u32));
        let users: Vec<ConnectionId> = open
            .filter(|(_, connection)| connection.registered_protocol().is_some() && connection.user().is_some())
            .map(|(id, _)| id)
            .collect();
        let count = users.len().max(1) as u32;
        for (place, id) in (0..).zip(users) {
            let earliest = self.now.after(Tick::ticks_in(after + over.saturating_mul(place) / count));
            self.schedule_sync(id, SyncReason::BackplaneGap, earliest);
        }
    }

    /// Schedules a sync for a client, not before `earliest`.
    pub(crate) fn schedule_sync(&mut self, id: ConnectionId, reason: SyncReason, earliest: Tick) {
        self.catch_up.schedule_sync(id, reason, Timestamp::default(), self.now, earliest);
    }

    fn send_login_response(&mut self, id: ConnectionId, response: Arc<Delivery>) {
        let due = self.now.after(Tick::ticks_in(LOGIN_RESPONSE_DELAY));
        self.delayed_responses.push(due, id, response);
    }

    /// Sends the syncs that are due.
    pub(crate) fn run_syncs(&mut self) {
        while let Some((id, reason)) = self.catch_up.take_due_sync(self.now) {
            let (now, write_limits) = (self.now, self.write_limits);
            let sent = self.connection(id).and_then(|connection| connection.write_sync(now, &write_limits));
            if let Some(sent) = sent {
                self.shared.metrics.catch_up.inc(reason.label());
                self.handle_write_outcome(id.slot, sent);
            }
        }
    }

    /// Sends the delayed responses to login requests that are due.
    pub(crate) fn run_delayed_responses(&mut self) {
        while let Some((id, response)) = self.delayed_responses.take_due(self.now) {
            let (now, write_limits) = (self.now, self.write_limits);
            let request = self.connection(id).and_then(|connection| connection.id());
            // A later response has reached the client meanwhile.
            let is_current = request.is_some_and(|request| self.login_responses.is_current(request, &response));
            let connection = if is_current { self.connection(id) } else { None };
            if let Some(sent) = connection.and_then(|connection| connection.deliver(&response, now, &write_limits)) {
                self.handle_write_outcome(id.slot, sent);
            }
        }
    }

    /// Records what a client's device has received when its connection ends.
    pub(crate) fn record_disconnect(&mut self, id: ConnectionId, connection: &Connection, close_reason: &CloseReason) {
        // A Close was received just now, in a SignalR message or in a WebSocket frame.
        let last_heard = if *close_reason == CloseReason::Client { self.now } else { connection.last_received() };
        let dropped = self.catch_up.on_leave(id, device(connection), last_heard, self.timestamp());
        self.shared.metrics.catch_up_dropped.inc_by(dropped as u64);
    }

    /// Records which syncs are received by now.
    pub(crate) fn record_received_syncs(&mut self) {
        let (now, timestamp, slots) = (self.now, self.timestamp(), &self.slots);
        let client = |id: ConnectionId| match slots.get(id.slot as usize) {
            Some(Slot { state: State::Open(connection), generation, .. }) if *generation == id.generation => {
                Some((device(connection), connection.last_received()))
            }
            _ => None,
        };
        let dropped = self.catch_up.run_checks(now, timestamp, client);
        self.shared.metrics.catch_up_dropped.inc_by(dropped as u64);
    }

    /// Without a backplane: notes that every push up to now is written, unless a fan-out is running.
    pub(crate) fn advance_local_watermark(&mut self) {
        if self.shared.presence.is_none() && self.fan_outs.is_empty() {
            self.catch_up.on_all_written(self.timestamp());
        }
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::default().after(self.clock.elapsed())
    }
}

/// Returns the user and the device of a registered connection on the main hub.
fn device(connection: &Connection) -> Option<(Uuid, Device)> {
    connection.registered_protocol()?;
    Some((connection.user()?, connection.device()?))
}
