//! The lifecycle of a reactor's connections: adds them, reads from them, writes to them, closes them.

use std::collections::hash_map::Entry;
use std::time::Duration;

use uuid::Uuid;

use super::connection::{Connection, ReadOutcome, WriteOutcome};
use super::outbox::Outbox;
use super::slot::{Slot, State};
use crate::auth::Principal;
use crate::http::error_response::ErrorResponse;
use crate::reactor::command::{AcceptReply, PendingConnection};
use crate::reactor::event_loop::Reactor;
use crate::signalr::protocol::Protocol;
use crate::signalr::{CloseReason, ConnectionId, TimeoutAction};
use crate::websocket::Outgoing;

/// How long a client may take to answer a Close.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// How often one socket is read per turn.
const READS_PER_TURN: usize = 4;

impl Reactor {
    /// Adds a connection that another reactor accepted.
    pub(crate) fn on_add_connection(&mut self, mut pending: PendingConnection) {
        if let Some(slot) = self.insert_socket(&mut pending.socket) {
            self.add_connection(slot, pending);
        }
    }

    /// Adds a connection in a vacant slot and answers its upgrade request.
    pub(crate) fn add_connection(&mut self, slot: u32, pending: PendingConnection) {
        let PendingConnection { socket, mut read_ahead, maybe_readable, principal, transport, permit, reply } = pending;
        let error_response = self.check_admission(&principal);
        let accept = match (reply, error_response) {
            (AcceptReply::Upgrade(accept), None) => accept,
            (AcceptReply::Upgrade(_), Some(error_response)) => {
                return self.start_closing(
                    slot,
                    socket,
                    Outbox::with_bytes(&error_response.bytes(), self.now),
                    CLOSE_LINGER,
                );
            }
            (AcceptReply::Relay(reply), error_response) => {
                let refused = error_response.is_some();
                // If the relay is gone, its end of the socket pair is closed as well.
                let _ = reply.send(error_response);
                if refused {
                    self.slots.remove(slot as usize);
                    return;
                }
                Vec::new()
            }
        };
        let mut connection = Connection::new(socket, principal, transport, permit, self.now);
        let answered = connection.write_owned(&accept, self.now, &self.write_limits);
        let mut outgoing = Outgoing { timeout_changed: true, ..Outgoing::with_buffer(&mut self.scratch) };
        let close_reason = connection.feed(&mut read_ahead, self.now, &self.session_config, &mut outgoing);
        self.slots[slot as usize].state = State::Open(connection);
        self.connections += 1;
        self.handle_write_outcome(slot, answered);
        self.apply_session_output(slot, outgoing, close_reason);
        if maybe_readable {
            self.queue_reread(slot, false);
        }
    }

    /// Checks the drain and the limit per user. Returns the error response, or `None` if the client is accepted.
    fn check_admission(&mut self, principal: &Principal) -> Option<ErrorResponse> {
        let most = self.shared.config.limits.per_user;
        let (outcome, error_response) = if self.is_draining() {
            ("unavailable", ErrorResponse::service_unavailable("This server is shutting down."))
        } else if let (Principal::User(_), Some(user)) = (principal, principal.id())
            && most > 0
            && !self.acquire_user_slot(user, most)
        {
            ("limited", ErrorResponse::too_many_requests("There are too many connections of this user."))
        } else {
            self.shared.metrics.connects.inc("accepted");
            return None;
        };
        self.shared.metrics.connects.inc(outcome);
        Some(error_response)
    }

    /// Counts a connection of a user. Returns `false` if the user has `most` already.
    fn acquire_user_slot(&mut self, user: Uuid, most: usize) -> bool {
        let count = self.users.entry(user).or_default();
        let room = *count < most;
        *count += usize::from(room);
        room
    }

    /// Uncounts a connection of a user.
    fn release_user_slot(&mut self, user: Uuid) {
        if let Entry::Occupied(mut count) = self.users.entry(user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Reads from a connection. `closed` tells that the peer may have closed it behind what it sent.
    pub(crate) fn read_ready(&mut self, slot: u32, closed: bool) {
        for _ in 0..READS_PER_TURN {
            let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
            let mut outgoing = Outgoing::with_buffer(&mut self.scratch);
            let before = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            let outcome = connection.read(&mut self.buffer, closed, self.now, &self.session_config, &mut outgoing);
            let after = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            if after > before {
                self.account_message_bytes(after - before);
            }
            match outcome {
                ReadOutcome::Drained if outgoing.is_empty() => {
                    self.scratch = outgoing.bytes;
                    return;
                }
                ReadOutcome::Drained => return self.apply_session_output(slot, outgoing, None),
                ReadOutcome::More => self.apply_session_output(slot, outgoing, None),
                ReadOutcome::Closed(close_reason) => {
                    return self.apply_session_output(slot, outgoing, Some(close_reason));
                }
            }
        }
        self.queue_reread(slot, closed);
    }

    /// Applies what a session produced: registration, bytes, a close, a changed timeout.
    fn apply_session_output(&mut self, slot: u32, outgoing: Outgoing, close_reason: Option<CloseReason>) {
        if let Some(protocol) = outgoing.accepted_protocol {
            self.on_handshake_complete(slot, protocol);
        }
        if let Some(close_reason) = close_reason {
            self.finish_close(slot, close_reason, &outgoing.bytes);
        } else if !outgoing.bytes.is_empty()
            && let Some(Slot { state: State::Open(connection), generation, .. }) = self.slots.get_mut(slot as usize)
        {
            let sent = if self.subscribe_barrier.is_blocked(ConnectionId { slot, generation: *generation }) {
                connection.write_deferred(&outgoing.bytes, self.now)
            } else {
                connection.write_owned(&outgoing.bytes, self.now, &self.write_limits)
            };
            self.handle_write_outcome(slot, sent);
        }
        if outgoing.timeout_changed {
            self.reschedule(slot);
        }
        self.scratch = outgoing.bytes;
    }

    /// Registers a client whose handshake succeeded, before the handshake response is written.
    fn on_handshake_complete(&mut self, slot: u32, protocol: Protocol) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) {
            let claims = connection.claims();
            connection.register(slot, protocol, &mut self.registry);
            self.shared
                .metrics
                .connected(connection.hub(), connection.client_type(), protocol, connection.transport())
                .inc();
            tracing::debug!(id = ?connection.id(), protocol = protocol.name(), "a client has connected");
            self.on_connected(slot);
            self.check_missed(slot, claims.as_deref());
        }
    }

    /// Writes queued frames to a socket that is writable again.
    pub(crate) fn flush(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), generation, .. }) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let id = ConnectionId { slot, generation: *generation };
        if !connection.is_waiting() || self.subscribe_barrier.is_blocked(id) {
            return;
        }
        match connection.flush(self.now) {
            WriteOutcome::Closed => self.finish_close(slot, CloseReason::Reset, &[]),
            WriteOutcome::Written => {
                self.catch_up.on_drained(id, self.now);
                // While frames were queued only the write timeout ran; now pings are due again.
                self.reschedule(slot);
                // Events for what the client sent meanwhile came then, perhaps with its close.
                self.read_ready(slot, true);
            }
            _ => {}
        }
    }

    /// Runs the timeout of a connection, if it is due.
    pub(crate) fn on_timer(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
        let sent = match connection.on_timeout(self.now, &self.session_config, &self.write_limits) {
            None => WriteOutcome::Written,
            Some(TimeoutAction::SendPing(protocol)) => connection.ping(&self.pings[protocol as usize], self.now),
            Some(TimeoutAction::Close(close_reason)) => return self.close(slot, close_reason),
        };
        if let Some(due) = connection.next_timeout(&self.session_config, &self.write_limits) {
            self.schedule(slot, due);
        }
        self.handle_write_outcome(slot, sent);
    }

    /// Schedules the next timeout of a connection, if it is earlier than the scheduled one.
    pub(crate) fn reschedule(&mut self, slot: u32) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get(slot as usize)
            && let Some(due) = connection.next_timeout(&self.session_config, &self.write_limits)
        {
            self.schedule(slot, due);
        }
    }

    /// Closes a connection from this side, with a Close message where the client can still read one.
    pub(crate) fn close(&mut self, slot: u32, close_reason: CloseReason) {
        if let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) {
            let mut outgoing = Outgoing::with_buffer(&mut self.scratch);
            let close_reason = connection.close(close_reason, &mut outgoing);
            self.finish_close(slot, close_reason, &outgoing.bytes);
        }
    }

    /// Handles the outcome of a write: counts it, reschedules, or closes the connection.
    pub(crate) fn handle_write_outcome(&mut self, slot: u32, sent: WriteOutcome) {
        let slow = |action| self.shared.metrics.slow_consumers.inc(action);
        match sent {
            WriteOutcome::Written => {}
            WriteOutcome::Queued => {
                let Some((id, _)) = self.open_connection(slot) else { return };
                self.catch_up.on_backlog(id, self.now);
                // A client that waits for the backplane is not slow.
                if !self.subscribe_barrier.is_blocked(id) {
                    slow("queued");
                    self.reschedule(slot);
                }
            }
            WriteOutcome::Coalesced => slow("collapsed"),
            WriteOutcome::Overflow => self.finish_close(slot, CloseReason::SlowConsumer, &[]),
            WriteOutcome::Closed => self.finish_close(slot, CloseReason::Reset, &[]),
        }
    }

    /// Removes a connection from the registry and the counts, and closes its socket after `last` is written.
    fn finish_close(&mut self, slot: u32, close_reason: CloseReason, last: &[u8]) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        let State::Open(connection) = entry.take_state() else { return };
        let id = ConnectionId { slot, generation: entry.generation };
        self.connections -= 1;
        if let Some(protocol) = connection.registered_protocol() {
            self.on_disconnected(id, &connection);
            let metrics = &self.shared.metrics;
            metrics.connected(connection.hub(), connection.client_type(), protocol, connection.transport()).dec();
            let slots = &mut self.slots;
            connection.deregister(slot, &mut self.registry, |other, number, membership| {
                if let Some(Slot { state: State::Open(other), .. }) = slots.get_mut(other as usize) {
                    other.update_membership(number, membership);
                }
            });
        }
        if let Some(user) = connection.user().filter(|_| self.shared.config.limits.per_user > 0) {
            self.release_user_slot(user);
        }
        let metrics = &self.shared.metrics;
        metrics.closes.inc(close_reason.label());
        if let CloseReason::Handshake(error) = &close_reason {
            metrics.handshake_failures.inc(error.label());
        }
        tracing::debug!(id = ?connection.id(), reason = close_reason.label(), detail = ?close_reason, "a client has gone");
        self.record_disconnect(id, &connection, &close_reason);
        let metrics = &self.shared.metrics;
        if matches!(close_reason, CloseReason::SlowConsumer | CloseReason::Reset) {
            if close_reason == CloseReason::SlowConsumer {
                metrics.slow_consumers.inc("reset");
                let lost = connection.uncovered();
                if lost > 0 {
                    metrics.slow_consumer_losses.inc_by(lost as u64);
                    tracing::warn!(id = ?connection.id(), lost, "slow client reset; notifications that no sync covers are lost");
                }
            }
            // A full or broken socket takes no final bytes.
            connection.socket.set_reset_on_close();
            self.slots.remove(slot as usize);
            return;
        }
        let (socket, mut outbox) = connection.into_parts(self.now);
        if !last.is_empty() {
            outbox.push_owned(last);
        }
        if close_reason == CloseReason::PeerClosed && outbox.is_empty() {
            // Both sides are done.
            self.slots.remove(slot as usize);
            return;
        }
        self.start_closing(slot, socket, outbox, CLOSE_LINGER);
    }
}
