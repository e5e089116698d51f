//! The open connections of one reactor: adds them, reads from them, writes to them, closes them.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::budgets::ByteBudget;
use super::catch_up::ClientCatchUp;
use super::client_admission::ClientAdmission;
use super::command::{CommandSender, PendingConnection};
use super::connection_report::ConnectionReport;
use super::registry::Registry;
use super::sockets::Sockets;
use super::sockets::connection::{Connection, ReadOutcome};
use super::sockets::frame_writer::{WriteLimits, WriteOutcome};
use super::sockets::outbox::Outbox;
use super::status::OwnStatus;
use crate::signalr::protocol::{Protocol, ProtocolError};
use crate::signalr::{Clock, CloseReason, SessionConfig, TimeoutAction};
use crate::websocket::{Frame, Outgoing};

/// How long a client may take to answer a Close.
const CLOSE_LINGER: Duration = Duration::from_secs(5);

/// How often one socket is read per turn.
const READS_PER_TURN: usize = 4;

/// The most bytes of all incomplete messages together, on all reactors.
const MAX_UNFINISHED_BYTES: usize = 64 * 1024 * 1024;

/// The open connections of one reactor. Belongs to the reactor's thread.
pub(super) struct Connections {
    report: ConnectionReport,
    registry: Registry,
    status: OwnStatus,
    admission: ClientAdmission,
    session_config: SessionConfig,
    write_limits: WriteLimits,
    /// The ping frames, by protocol.
    pings: [Frame; 2],
    /// The bytes of incomplete messages.
    unfinished: ByteBudget,
    /// A buffer for the next bytes to write, reused.
    scratch: Vec<u8>,
    catch_up: ClientCatchUp,
}

impl Connections {
    /// Creates the connections of a reactor: none. `status` and `commands` are the reactor's own.
    pub(super) fn new(shared: Arc<Shared>, status: OwnStatus, commands: CommandSender, clock: Clock) -> Connections {
        let config = &shared.config;
        Connections {
            registry: Registry::default(),
            status,
            admission: ClientAdmission::new(config.limits.max_connections_per_user),
            session_config: SessionConfig::new(&config.signalr),
            write_limits: WriteLimits::new(&config.slow_consumer),
            pings: Protocol::VARIANTS.map(|protocol| Frame::new(protocol, protocol.ping())),
            unfinished: ByteBudget::new(MAX_UNFINISHED_BYTES / config.reactors.max(1)),
            scratch: Vec::new(),
            report: ConnectionReport::new(shared.metrics.clone()),
            catch_up: ClientCatchUp::new(shared, commands, clock),
        }
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

    /// Refuses all clients from now on.
    pub(super) fn refuse_clients(&mut self) {
        self.admission.refuse_all();
    }

    /// Adds a connection in a vacant slot and answers its upgrade request.
    pub(super) fn add(&mut self, sockets: &mut Sockets, slot: u32, pending: PendingConnection) {
        let PendingConnection { socket, mut read_ahead, maybe_readable, principal, transport, permit, reply } = pending;
        let now = sockets.now;
        let (outcome, error_response) = self.admission.admit(&principal);
        self.report.on_attempt(outcome);
        let refused = error_response.is_some();
        let answer = reply.answer(error_response);
        if refused {
            return match answer.is_empty() {
                true => sockets.remove(slot),
                false => sockets.start_closing(slot, socket, Outbox::with_bytes(&answer, now), CLOSE_LINGER),
            };
        }
        let mut connection = Connection::new(socket, principal, transport, permit, now);
        let answered = connection.write_owned(&answer, now, &self.write_limits);
        let mut outgoing = Outgoing { timeout_changed: true, ..Outgoing::with_buffer(&mut self.scratch) };
        let close_reason = connection.feed(&mut read_ahead, now, &self.session_config, &mut outgoing);
        sockets.set_open(slot, connection);
        self.status.add_connection();
        self.handle_write_outcome(sockets, slot, answered);
        self.apply_session_output(sockets, slot, outgoing, close_reason);
        if maybe_readable {
            sockets.queue_reread(slot, false);
        }
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
                ReadOutcome::Closed(reason) => return self.apply_session_output(sockets, slot, outgoing, Some(reason)),
            }
        }
        sockets.queue_reread(slot, closed);
    }

    /// Adds to the bytes of incomplete messages, and closes the connections with the oldest if all of them are over the bound.
    fn account_message_bytes(&mut self, sockets: &mut Sockets, more: usize) {
        let oldest = self.unfinished.add(more, || {
            let held = sockets.iter_open().map(|(id, connection)| (id.slot, connection.unfinished()));
            held.filter_map(|(slot, held)| held.map(|(since, bytes)| (since, slot, bytes))).collect()
        });
        for slot in oldest {
            let error = ProtocolError("there are too many messages that are not whole");
            self.close(sockets, slot, CloseReason::Protocol(error));
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
        let Some((_, connection)) = sockets.open_mut(slot) else { return };
        let claims = connection.register(slot, protocol, &mut self.registry);
        let Some((id, connection)) = sockets.open(slot) else { return };
        self.report.on_connected(connection, protocol);
        let organizations = claims.as_ref().map_or(&[][..], |claims| &claims.organizations);
        self.catch_up.on_handshake(sockets, &self.registry, id, connection, organizations);
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
        if sent != WriteOutcome::Written {
            self.handle_write_outcome(sockets, slot, sent);
        }
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
        match sent {
            WriteOutcome::Written => {}
            WriteOutcome::Queued => {
                let Some((id, _)) = sockets.open(slot) else { return };
                self.catch_up.on_backlog(id, sockets.now);
                // A client that waits for the backplane is not slow.
                if !self.catch_up.is_blocked(id) {
                    self.report.on_slow("queued");
                    self.reschedule(sockets, slot);
                }
            }
            WriteOutcome::Coalesced => self.report.on_slow("coalesced"),
            WriteOutcome::Overflow => self.finish_close(sockets, slot, CloseReason::SlowConsumer, &[]),
            WriteOutcome::Closed => self.finish_close(sockets, slot, CloseReason::Reset, &[]),
        }
    }

    /// Removes a connection from the registry and the counts, and closes its socket after `last` is written.
    fn finish_close(&mut self, sockets: &mut Sockets, slot: u32, close_reason: CloseReason, last: &[u8]) {
        let Some((id, connection)) = sockets.take_open(slot) else { return };
        self.status.remove_connection();
        if connection.registered_protocol().is_some() {
            self.catch_up.report_disconnected(id, &self.registry, &connection);
            connection.deregister(slot, &mut self.registry, |other, number, membership| {
                if let Some((_, other)) = sockets.open_mut(other) {
                    other.update_membership(number, membership);
                }
            });
        }
        self.admission.release(connection.user());
        self.report.on_closed(&connection, &close_reason);
        self.catch_up.on_closed(id, &connection, &close_reason, sockets.now);
        if matches!(close_reason, CloseReason::SlowConsumer | CloseReason::Reset) {
            // A full or broken socket takes no final bytes.
            connection.reset();
            return sockets.remove(slot);
        }
        let (socket, mut outbox) = connection.into_parts(sockets.now);
        if !last.is_empty() {
            outbox.push_owned(last);
        }
        if close_reason == CloseReason::PeerClosed && outbox.is_empty() {
            // Both sides are done.
            return sockets.remove(slot);
        }
        sockets.start_closing(slot, socket, outbox, CLOSE_LINGER);
    }

    /// Writes the frames that were held back.
    pub(super) fn resume(&mut self, sockets: &mut Sockets, slot: u32) {
        self.flush(sockets, slot);
        self.reschedule(sockets, slot);
    }
}
