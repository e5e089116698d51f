//! Sends the frames that catch-up has scheduled: syncs and late responses to login requests. Releases the frames that it holds back:
//! handshake responses that wait for the backplane. Runs on the reactor's thread.

use std::time::Duration;

use super::command::MissedResult;
use super::connections::Connections;
use super::sockets::Sockets;
use crate::catch_up::SyncReason;
use crate::signalr::{ConnectionId, Tick};

/// Sends and releases all frames that are due.
pub(super) fn run_due(connections: &mut Connections, sockets: &mut Sockets) {
    release_expired(connections, sockets);
    run_syncs(connections, sockets);
    run_delayed_responses(connections, sockets);
    connections.catch_up().record_received_syncs(sockets.now, |id| sockets.connection(id));
}

/// Takes the result of a lookup of what a client missed.
pub(super) fn on_missed(connections: &mut Connections, sockets: &Sockets, id: ConnectionId, missed: MissedResult) {
    if let Some(target) = sockets.connection(id).and_then(|connection| connection.id()) {
        connections.catch_up().on_missed(id, target, missed, sockets.now);
    }
}

/// Schedules a sync for every user, after a delay and evenly spread: which pushes the backplane lost is not known.
pub(super) fn sync_all(connections: &mut Connections, sockets: &Sockets, after: Duration, over: Duration) {
    let users: Vec<ConnectionId> = sockets
        .iter_open()
        .filter(|(_, connection)| connection.registered_protocol().is_some() && connection.user().is_some())
        .map(|(id, _)| id)
        .collect();
    let count = users.len().max(1) as u32;
    for (place, id) in (0..).zip(users) {
        let earliest = sockets.now.after(Tick::ticks_in(after + over.saturating_mul(place) / count));
        connections.catch_up().schedule_sync(id, SyncReason::BackplaneGap, sockets.now, earliest);
    }
}

/// Releases the handshake response of a connection whose channels are subscribed to, and the frames behind it.
pub(super) fn on_subscribed(connections: &mut Connections, sockets: &mut Sockets, id: ConnectionId) {
    if connections.catch_up().release(id) {
        connections.resume(sockets, id.slot);
    }
}

/// Releases handshake responses that have waited for too long. Their clients may have missed pushes, so they are sent a sync.
fn release_expired(connections: &mut Connections, sockets: &mut Sockets) {
    let now = sockets.now;
    while let Some(id) = connections.catch_up().release_expired(now) {
        if sockets.connection(id).is_some_and(|connection| connection.user().is_some()) {
            connections.catch_up().schedule_sync(id, SyncReason::BackplaneGap, now, now);
        }
        connections.resume(sockets, id.slot);
    }
}

fn run_syncs(connections: &mut Connections, sockets: &mut Sockets) {
    let (now, write_limits) = (sockets.now, connections.write_limits());
    while let Some((id, reason)) = connections.catch_up().take_due_sync(now) {
        let sent = sockets.connection_mut(id).and_then(|connection| connection.write_sync(now, &write_limits));
        if let Some(sent) = sent {
            connections.catch_up().count_sync(reason);
            connections.handle_write_outcome(sockets, id.slot, sent);
        }
    }
}

fn run_delayed_responses(connections: &mut Connections, sockets: &mut Sockets) {
    let (now, write_limits) = (sockets.now, connections.write_limits());
    while let Some((id, response)) = connections.catch_up().take_due_response(now) {
        let Some(connection) = sockets.connection_mut(id) else { continue };
        // A later response has reached the client meanwhile.
        if !connection.id().is_some_and(|request| connections.catch_up().is_current(request, &response)) {
            continue;
        }
        if let Some(sent) = connection.deliver(&response, now, &write_limits) {
            connections.handle_write_outcome(sockets, id.slot, sent);
        }
    }
}
