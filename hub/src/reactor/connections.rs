//! The open connections of one reactor: adds them, reads from them, writes to them, closes them.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::budgets::oldest_above;
use super::catch_up::ClientCatchUp;
use super::catch_up::presence::Recipient;
use super::command::{AcceptReply, CommandSender, MissedResult, PendingConnection};
use super::registry::Registry;
use super::sockets::Sockets;
use super::sockets::connection::{Connection, ReadOutcome, WriteLimits, WriteOutcome};
use super::sockets::outbox::Outbox;
use super::user_counts::UserCounts;
use crate::auth::Principal;
use crate::catch_up::{SyncReason, Timestamp};
use crate::http::error_response::ErrorResponse;
use crate::signalr::protocol::{Protocol, ProtocolError};
use crate::signalr::{self, Clock, CloseReason, ConnectionId, Hub, SessionConfig, Tick, TimeoutAction};
use crate::websocket::{Frame, Outgoing};

/// How long a client may take to answer a Close.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// How often one socket is read per turn.
const READS_PER_TURN: usize = 4;

/// The most bytes of all incomplete messages together, on all reactors.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

const TOO_MANY_UNFINISHED: ProtocolError = ProtocolError("there are too many messages that are not whole");

/// The open connections of one reactor. Belongs to the reactor's thread.
pub(super) struct Connections {
    shared: Arc<Shared>,
    registry: Registry,
    /// How many there are.
    open: usize,
    /// How many each user has. Empty without a limit per user.
    users: UserCounts,
    session_config: SessionConfig,
    write_limits: WriteLimits,
    /// The ping frames, by protocol.
    pings: [Frame; 2],
    /// Upper bound of the bytes of incomplete messages.
    unfinished_bytes: usize,
    /// The most of them.
    max_unfinished_bytes: usize,
    /// A buffer for the next bytes to write, reused.
    scratch: Vec<u8>,
    catch_up: ClientCatchUp,
    /// Whether new clients are refused.
    is_draining: bool,
}

impl Connections {
    /// Creates the connections of one of so many reactors: none. `commands` is the reactor's own queue.
    pub(super) fn new(shared: Arc<Shared>, commands: CommandSender, clock: Clock, reactors: usize) -> Connections {
        let config = &shared.config;
        let session_config = SessionConfig {
            handshake_timeout: Tick::ticks_in(config.signalr.handshake_timeout),
            keep_alive_interval: Tick::ticks_in(config.signalr.keep_alive_interval),
            client_timeout_interval: Tick::ticks_in(config.signalr.client_timeout_interval),
            message_timeout: Tick::ticks_in(config.signalr.message_timeout),
            maximum_receive_message_size: config.signalr.maximum_receive_message_size,
        };
        let write_limits = WriteLimits {
            max_queued_bytes: config.slow_consumer.max_queued_bytes,
            write_timeout: Tick::ticks_in(config.slow_consumer.write_timeout),
        };
        Connections {
            registry: Registry::default(),
            open: 0,
            users: UserCounts::default(),
            session_config,
            write_limits,
            pings: Protocol::VARIANTS.map(|protocol| Frame::new(protocol, signalr::ping(protocol))),
            unfinished_bytes: 0,
            max_unfinished_bytes: MAX_UNFINISHED_BYTES / reactors.max(1),
            scratch: Vec::new(),
            catch_up: ClientCatchUp::new(shared.clone(), commands, clock),
            is_draining: false,
            shared,
        }
    }

    /// Returns how many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Returns who is to be found in which slot.
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns how much a slow client may cost.
    pub(super) fn write_limits(&self) -> WriteLimits {
        self.write_limits
    }

    /// Returns the state of catch-up.
    pub(super) fn catch_up(&mut self) -> &mut ClientCatchUp {
        &mut self.catch_up
    }

    /// Returns the tick of what catch-up has scheduled next or an earlier one, `None` if it has scheduled nothing.
    pub(super) fn next_due(&self) -> Option<Tick> {
        self.catch_up.next_due()
    }

    /// Refuses all clients from now on.
    pub(super) fn refuse_clients(&mut self) {
        self.is_draining = true;
    }

    /// Adds a connection in a vacant slot and answers its upgrade request.
    pub(super) fn add(&mut self, sockets: &mut Sockets, slot: u32, pending: PendingConnection) {
        let PendingConnection { socket, mut read_ahead, maybe_readable, principal, transport, permit, reply } = pending;
        let now = sockets.now;
        let error_response = self.check_admission(&principal);
        let accept = match (reply, error_response) {
            (AcceptReply::Upgrade(accept), None) => accept,
            (AcceptReply::Upgrade(_), Some(error_response)) => {
                let outbox = Outbox::with_bytes(&error_response.bytes(), now);
                return sockets.start_closing(slot, socket, outbox, CLOSE_LINGER);
            }
            (AcceptReply::Relay(reply), error_response) => {
                let refused = error_response.is_some();
                // If the relay is gone, its end of the socket pair is closed as well.
                let _ = reply.send(error_response);
                if refused {
                    return sockets.remove(slot);
                }
                Vec::new()
            }
        };
        let mut connection = Connection::new(socket, principal, transport, permit, now);
        let answered = connection.write_owned(&accept, now, &self.write_limits);
        let mut outgoing = Outgoing { timeout_changed: true, ..Outgoing::with_buffer(&mut self.scratch) };
        let close_reason = connection.feed(&mut read_ahead, now, &self.session_config, &mut outgoing);
        sockets.set_open(slot, connection);
        self.open += 1;
        self.handle_write_outcome(sockets, slot, answered);
        self.apply_session_output(sockets, slot, outgoing, close_reason);
        if maybe_readable {
            sockets.queue_reread(slot, false);
        }
    }

    /// Checks the drain and the limit per user. Returns the error response, or `None` if the client is accepted.
    fn check_admission(&mut self, principal: &Principal) -> Option<ErrorResponse> {
        let most = self.shared.config.limits.max_connections_per_user;
        let (outcome, error_response) = if self.is_draining {
            ("unavailable", ErrorResponse::service_unavailable("This server is shutting down."))
        } else if let (Principal::User(_), Some(user)) = (principal, principal.id())
            && most > 0
            && !self.users.try_add(user, most)
        {
            ("limited", ErrorResponse::too_many_requests("There are too many connections of this user."))
        } else {
            self.shared.metrics.connection_attempts.inc("accepted");
            return None;
        };
        self.shared.metrics.connection_attempts.inc(outcome);
        Some(error_response)
    }

    /// Reads from a connection. `closed` tells that the peer may have closed it behind what it sent.
    pub(super) fn read(&mut self, sockets: &mut Sockets, slot: u32, closed: bool) {
        let now = sockets.now;
        for _ in 0..READS_PER_TURN {
            let Some((_, connection, buffer)) = sockets.open_and_buffer(slot) else { return };
            let mut outgoing = Outgoing::with_buffer(&mut self.scratch);
            let before = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            let outcome = connection.read(buffer, closed, now, &self.session_config, &mut outgoing);
            let after = connection.unfinished().map_or(0, |(_, bytes)| bytes);
            if after > before {
                self.account_message_bytes(sockets, after - before);
            }
            match outcome {
                ReadOutcome::Drained if outgoing.is_empty() => {
                    self.scratch = outgoing.bytes;
                    return;
                }
                ReadOutcome::Drained => return self.apply_session_output(sockets, slot, outgoing, None),
                ReadOutcome::More => self.apply_session_output(sockets, slot, outgoing, None),
                ReadOutcome::Closed(close_reason) => {
                    return self.apply_session_output(sockets, slot, outgoing, Some(close_reason));
                }
            }
        }
        sockets.queue_reread(slot, closed);
    }

    /// Adds to the bytes of incomplete messages, and closes the connections with the oldest if all of them are over the bound.
    fn account_message_bytes(&mut self, sockets: &mut Sockets, more: usize) {
        self.unfinished_bytes += more;
        if self.unfinished_bytes <= self.max_unfinished_bytes {
            return;
        }
        let messages = sockets
            .iter_open()
            .filter_map(|(id, connection)| connection.unfinished().map(|(since, bytes)| (since, id.slot, bytes)));
        let (oldest, left) = oldest_above(messages.collect(), self.max_unfinished_bytes);
        self.unfinished_bytes = left;
        for slot in oldest {
            self.close(sockets, slot, CloseReason::Protocol(TOO_MANY_UNFINISHED));
        }
    }

    /// Applies what a session produced: registration, bytes, a close, a changed timeout.
    fn apply_session_output(
        &mut self,
        sockets: &mut Sockets,
        slot: u32,
        outgoing: Outgoing,
        close_reason: Option<CloseReason>,
    ) {
        if let Some(protocol) = outgoing.accepted_protocol {
            self.on_handshake_complete(sockets, slot, protocol);
        }
        let now = sockets.now;
        if let Some(close_reason) = close_reason {
            self.finish_close(sockets, slot, close_reason, &outgoing.bytes);
        } else if !outgoing.bytes.is_empty()
            && let Some((id, connection)) = sockets.open_mut(slot)
        {
            let sent = if self.catch_up.is_blocked(id) {
                connection.write_deferred(&outgoing.bytes, now)
            } else {
                connection.write_owned(&outgoing.bytes, now, &self.write_limits)
            };
            self.handle_write_outcome(sockets, slot, sent);
        }
        if outgoing.timeout_changed {
            self.reschedule(sockets, slot);
        }
        self.scratch = outgoing.bytes;
    }

    /// Registers a client whose handshake succeeded, before the handshake response is written.
    fn on_handshake_complete(&mut self, sockets: &mut Sockets, slot: u32, protocol: Protocol) {
        let now = sockets.now;
        let Some((_, connection)) = sockets.open_mut(slot) else { return };
        let claims = connection.claims();
        connection.register(slot, protocol, &mut self.registry);
        let Some((id, connection)) = sockets.open(slot) else { return };
        self.shared
            .metrics
            .connected(connection.hub(), connection.client_type(), protocol, connection.transport())
            .inc();
        tracing::debug!(id = ?connection.id(), protocol = protocol.name(), "client connected");
        let received = self.received_elsewhere(sockets, id, connection);
        if self.catch_up.has_backplane() {
            let recipient = recipient(&self.registry, connection);
            self.catch_up.report_connected(id, recipient, connection.device(), received, now);
        }
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.catch_up.on_handshake(id, connection, organizations, received, now);
    }

    /// Returns up to when the other connections of a connection's device here have surely received every push.
    fn received_elsewhere(&self, sockets: &Sockets, id: ConnectionId, connection: &Connection) -> Option<Timestamp> {
        let device = connection.device()?;
        let slots = self.registry.slots_of(Hub::Main, connection.user()?).iter();
        let others = slots.filter(|slot| **slot != id.slot).filter_map(|slot| sockets.open(*slot));
        let same = others.filter(|(_, other)| other.device() == Some(device));
        same.filter_map(|(id, other)| self.catch_up.received(id, other)).max()
    }

    /// Writes queued frames to a socket that is writable again.
    pub(super) fn flush(&mut self, sockets: &mut Sockets, slot: u32) {
        let now = sockets.now;
        let Some((id, connection)) = sockets.open_mut(slot) else { return };
        if !connection.is_waiting() || self.catch_up.is_blocked(id) {
            return;
        }
        match connection.flush(now) {
            WriteOutcome::Closed => self.finish_close(sockets, slot, CloseReason::Reset, &[]),
            WriteOutcome::Written => {
                self.catch_up.on_drained(id, now);
                // While frames were queued only the write timeout ran; now pings are due again.
                self.reschedule(sockets, slot);
                // Events for what the client sent meanwhile came then, perhaps with its close.
                self.read(sockets, slot, true);
            }
            _ => {}
        }
    }

    /// Runs the timeout of a connection, if it is due.
    pub(super) fn on_timer(&mut self, sockets: &mut Sockets, slot: u32) {
        let now = sockets.now;
        let Some((_, connection)) = sockets.open_mut(slot) else { return };
        let sent = match connection.on_timeout(now, &self.session_config, &self.write_limits) {
            None => WriteOutcome::Written,
            Some(TimeoutAction::SendPing(protocol)) => connection.ping(&self.pings[protocol as usize], now),
            Some(TimeoutAction::Close(close_reason)) => return self.close(sockets, slot, close_reason),
        };
        if let Some(due) = connection.next_timeout(&self.session_config, &self.write_limits) {
            sockets.schedule(slot, due);
        }
        self.handle_write_outcome(sockets, slot, sent);
    }

    /// Schedules the next timeout of a connection, if it is earlier than the scheduled one.
    fn reschedule(&mut self, sockets: &mut Sockets, slot: u32) {
        if let Some((_, connection)) = sockets.open(slot)
            && let Some(due) = connection.next_timeout(&self.session_config, &self.write_limits)
        {
            sockets.schedule(slot, due);
        }
    }

    /// Closes a connection from this side, with a Close message where the client can still read one.
    pub(super) fn close(&mut self, sockets: &mut Sockets, slot: u32, close_reason: CloseReason) {
        if let Some((_, connection)) = sockets.open_mut(slot) {
            let mut outgoing = Outgoing::with_buffer(&mut self.scratch);
            let close_reason = connection.close(close_reason, &mut outgoing);
            self.finish_close(sockets, slot, close_reason, &outgoing.bytes);
        }
    }

    /// Handles the outcome of a write: counts it, reschedules, or closes the connection.
    pub(super) fn handle_write_outcome(&mut self, sockets: &mut Sockets, slot: u32, sent: WriteOutcome) {
        let slow = |action| self.shared.metrics.slow_consumer_actions.inc(action);
        match sent {
            WriteOutcome::Written => {}
            WriteOutcome::Queued => {
                let Some((id, _)) = sockets.open(slot) else { return };
                self.catch_up.on_backlog(id, sockets.now);
                // A client that waits for the backplane is not slow.
                if !self.catch_up.is_blocked(id) {
                    slow("queued");
                    self.reschedule(sockets, slot);
                }
            }
            WriteOutcome::Coalesced => slow("coalesced"),
            WriteOutcome::Overflow => self.finish_close(sockets, slot, CloseReason::SlowConsumer, &[]),
            WriteOutcome::Closed => self.finish_close(sockets, slot, CloseReason::Reset, &[]),
        }
    }

    /// Removes a connection from the registry and the counts, and closes its socket after `last` is written.
    fn finish_close(&mut self, sockets: &mut Sockets, slot: u32, close_reason: CloseReason, last: &[u8]) {
        let Some((id, connection)) = sockets.take_open(slot) else { return };
        let now = sockets.now;
        self.open -= 1;
        if let Some(protocol) = connection.registered_protocol() {
            if self.catch_up.has_backplane() {
                self.catch_up.report_disconnected(id, recipient(&self.registry, &connection));
            }
            let metrics = &self.shared.metrics;
            metrics.connected(connection.hub(), connection.client_type(), protocol, connection.transport()).dec();
            connection.deregister(slot, &mut self.registry, |other, number, membership| {
                if let Some((_, other)) = sockets.open_mut(other) {
                    other.update_membership(number, membership);
                }
            });
        }
        if let Some(user) = connection.user().filter(|_| self.shared.config.limits.max_connections_per_user > 0) {
            self.users.remove(user);
        }
        let metrics = &self.shared.metrics;
        metrics.connections_closed.inc(close_reason.label());
        if let CloseReason::Handshake(error) = &close_reason {
            metrics.handshake_failures.inc(error.label());
        }
        tracing::debug!(id = ?connection.id(), reason = close_reason.label(), detail = ?close_reason, "client disconnected");
        self.catch_up.on_closed(id, &connection, &close_reason, now);
        if matches!(close_reason, CloseReason::SlowConsumer | CloseReason::Reset) {
            if close_reason == CloseReason::SlowConsumer {
                metrics.slow_consumer_actions.inc("reset");
                let lost = connection.uncovered();
                if lost > 0 {
                    metrics.slow_consumer_pushes_dropped.inc_by(lost as u64);
                    tracing::warn!(id = ?connection.id(), lost, "slow client reset; pushes that no sync covers are lost");
                }
            }
            // A full or broken socket takes no final bytes.
            connection.socket.set_reset_on_close();
            return sockets.remove(slot);
        }
        let (socket, mut outbox) = connection.into_parts(now);
        if !last.is_empty() {
            outbox.push_owned(last);
        }
        if close_reason == CloseReason::PeerClosed && outbox.is_empty() {
            // Both sides are done.
            return sockets.remove(slot);
        }
        sockets.start_closing(slot, socket, outbox, CLOSE_LINGER);
    }

    /// Takes the result of a lookup of what a client missed.
    pub(super) fn on_missed(&mut self, sockets: &Sockets, id: ConnectionId, missed: MissedResult) {
        if let Some(target) = sockets.connection(id).and_then(|connection| connection.id()) {
            self.catch_up.on_missed(id, target, missed, sockets.now);
        }
    }

    /// Schedules a sync for every user, after a delay and evenly spread: which pushes the backplane lost is not known.
    pub(super) fn sync_all(&mut self, sockets: &Sockets, after: Duration, over: Duration) {
        let users: Vec<ConnectionId> = sockets
            .iter_open()
            .filter(|(_, connection)| connection.registered_protocol().is_some() && connection.user().is_some())
            .map(|(id, _)| id)
            .collect();
        let count = users.len().max(1) as u32;
        for (place, id) in (0..).zip(users) {
            let earliest = sockets.now.after(Tick::ticks_in(after + over.saturating_mul(place) / count));
            self.catch_up.schedule_sync(id, SyncReason::BackplaneGap, sockets.now, earliest);
        }
    }

    /// Sends the syncs that are due.
    pub(super) fn run_syncs(&mut self, sockets: &mut Sockets) {
        let now = sockets.now;
        while let Some((id, reason)) = self.catch_up.take_due_sync(now) {
            let sent = sockets.connection_mut(id).and_then(|connection| connection.write_sync(now, &self.write_limits));
            if let Some(sent) = sent {
                self.shared.metrics.catch_up_syncs.inc(reason.label());
                self.handle_write_outcome(sockets, id.slot, sent);
            }
        }
    }

    /// Sends the delayed responses to login requests that are due.
    pub(super) fn run_delayed_responses(&mut self, sockets: &mut Sockets) {
        let now = sockets.now;
        while let Some((id, response)) = self.catch_up.take_due_response(now) {
            let Some(connection) = sockets.connection_mut(id) else { continue };
            // A later response has reached the client meanwhile.
            if !connection.id().is_some_and(|request| self.catch_up.is_current(request, &response)) {
                continue;
            }
            if let Some(sent) = connection.deliver(&response, now, &self.write_limits) {
                self.handle_write_outcome(sockets, id.slot, sent);
            }
        }
    }

    /// Records which syncs are received by now.
    pub(super) fn record_received_syncs(&mut self, sockets: &Sockets) {
        self.catch_up.record_received_syncs(sockets.now, |id| sockets.connection(id));
    }

    /// Releases the handshake response of a connection whose channels are subscribed to, and the frames behind it.
    pub(super) fn on_subscribed(&mut self, sockets: &mut Sockets, id: ConnectionId) {
        if self.catch_up.release(id) {
            self.resume(sockets, id.slot);
        }
    }

    /// Releases handshake responses that have waited for too long. Their clients may have missed pushes, so they are sent a sync.
    pub(super) fn release_expired(&mut self, sockets: &mut Sockets) {
        let now = sockets.now;
        while let Some(id) = self.catch_up.release_expired(now) {
            if sockets.connection(id).is_some_and(|connection| connection.user().is_some()) {
                self.catch_up.schedule_sync(id, SyncReason::BackplaneGap, now, now);
            }
            self.resume(sockets, id.slot);
        }
    }

    fn resume(&mut self, sockets: &mut Sockets, slot: u32) {
        self.flush(sockets, slot);
        self.reschedule(sockets, slot);
    }
}

/// Returns what the backplane is told of a connection.
fn recipient(registry: &Registry, connection: &Connection) -> Recipient {
    Recipient {
        hub: connection.hub(),
        id: connection.id(),
        client_type: connection.client_type(),
        organizations: connection.organizations(registry),
    }
}
