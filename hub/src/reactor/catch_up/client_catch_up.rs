//! A reactor's side of catch-up and of the backplane: reports to [`CatchUp`] what happens to connections, reports connects and
//! disconnects to the backplane, and schedules what clients are sent afterwards. The rule itself is in `catch_up` (`missed`).

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::delayed_responses::DelayedResponses;
use super::login_responses::LoginResponses;
use super::presence::{MissedQuery, Recipient, SharedRecords, SubscribeGuard};
use super::subscribe_barrier::SubscribeBarrier;
use crate::catch_up::{CatchUp, LocalRecords, LookupRequest, Records, SyncReason, Timestamp};
use crate::delivery::{Audience, Delivery};
use crate::notification::Device;
use crate::reactor::Shared;
use crate::reactor::command::{CommandSender, MissedResult};
use crate::reactor::registry::Registry;
use crate::reactor::sockets::Sockets;
use crate::reactor::sockets::connection::Connection;
use crate::signalr::{Clock, CloseReason, ConnectionId, Hub, Tick};

/// How long after its handshake a client is sent a response that came before: clients handle pushes only then.
const LOGIN_RESPONSE_DELAY: Duration = Duration::from_millis(500);

/// How long the response to a login request is kept for its client.
const LOGIN_RESPONSE_TTL: Duration = Duration::from_secs(120);

/// How long a handshake response waits for the backplane.
const MAX_SUBSCRIBE_WAIT: Duration = Duration::from_secs(1);

/// Catch-up for the connections of one reactor.
pub(crate) struct ClientCatchUp {
    shared: Arc<Shared>,
    /// The reactor's own commands: results of lookups come back by them.
    commands: CommandSender,
    clock: Clock,
    catch_up: CatchUp,
    login_responses: LoginResponses,
    delayed_responses: DelayedResponses,
    /// Connections whose handshake response waits for the backplane.
    subscribe_barrier: SubscribeBarrier,
}

impl ClientCatchUp {
    /// Creates the state of a reactor without connections. `commands` is the reactor's own queue.
    pub(crate) fn new(shared: Arc<Shared>, commands: CommandSender, clock: Clock) -> ClientCatchUp {
        let config = &shared.config;
        let catch_up = CatchUp::new(records(&shared), config.signalr.keep_alive_interval, config.catch_up.spread);
        ClientCatchUp {
            commands,
            clock,
            catch_up,
            login_responses: LoginResponses::new(Tick::ticks_in(LOGIN_RESPONSE_TTL)),
            delayed_responses: DelayedResponses::default(),
            subscribe_barrier: SubscribeBarrier::default(),
            shared,
        }
    }

    /// Records a push, before it is written to any connection.
    pub(crate) fn on_push(&mut self, delivery: &Arc<Delivery>, now: Tick) {
        if let Audience::LoginRequest(request) = delivery.audience {
            self.login_responses.insert(request, delivery.clone(), now);
        }
        if delivery.covered {
            let dropped = self.catch_up.on_push(delivery.audience, delivery.device, self.timestamp());
            self.count_dropped(dropped);
        }
    }

    /// Takes a client whose handshake just succeeded: reports it to the backplane, and looks up what it missed.
    pub(crate) fn on_handshake(
        &mut self,
        sockets: &Sockets,
        registry: &Registry,
        id: ConnectionId,
        connection: &Connection,
        organizations: &[Uuid],
    ) {
        let now = sockets.now;
        let received = self.received_elsewhere(sockets, registry, id, connection);
        self.report_connected(registry, id, connection, received, now);
        match (connection.hub, connection.id()) {
            (Hub::Anonymous, Some(request)) => {
                if let Some(response) = self.login_responses.get(request, now) {
                    self.delay_response(id, response, now);
                }
            }
            (Hub::Main, Some(user)) => {
                let client = LookupRequest { user, organizations, device: connection.device, received };
                self.catch_up.on_join(id, &client, now, self.timestamp());
            }
            (_, None) => {}
        }
    }

    /// Returns up to when the other connections of a connection's device here have surely received every push, `None` if none has
    /// proven anything.
    fn received_elsewhere(
        &self,
        sockets: &Sockets,
        registry: &Registry,
        id: ConnectionId,
        connection: &Connection,
    ) -> Option<Timestamp> {
        let device = connection.device?;
        let slots = registry.slots_of(Hub::Main, connection.user()?).iter();
        let others = slots.filter(|slot| **slot != id.slot).filter_map(|slot| sockets.open(*slot));
        let same = others.filter(|(_, other)| other.device == Some(device));
        same.filter_map(|(id, other)| self.catch_up.received(id, other.last_received())).max()
    }

    /// Reports a client whose handshake succeeded to the backplane, asks there what it missed, and holds back its handshake
    /// response if its channels are not subscribed to yet.
    fn report_connected(
        &mut self,
        registry: &Registry,
        id: ConnectionId,
        connection: &Connection,
        received: Option<Timestamp>,
        now: Tick,
    ) {
        let Some(presence) = &self.shared.presence else { return };
        let recipient = Recipient::new(registry, connection);
        let may_have_missed = match recipient.hub {
            Hub::Main => self.catch_up.is_enabled() && recipient.id.is_some(),
            Hub::Anonymous => recipient.id.is_some_and(|request| self.login_responses.get(request, now).is_none()),
        };
        let query = may_have_missed.then(|| MissedQuery::new(connection.device, received, self.commands.clone(), id));
        let guard = presence.awaits_subscription().then(|| SubscribeGuard::new(self.commands.clone(), id));
        if guard.is_some() {
            self.subscribe_barrier.block(id, now.after(Tick::ticks_in(MAX_SUBSCRIBE_WAIT)));
        }
        presence.on_connected(recipient, guard, query);
    }

    /// Reports to the backplane that a client disconnects.
    pub(crate) fn report_disconnected(&mut self, id: ConnectionId, registry: &Registry, connection: &Connection) {
        if let Some(presence) = &self.shared.presence {
            self.subscribe_barrier.release(id);
            presence.on_disconnected(Recipient::new(registry, connection));
        }
    }

    /// Takes the result of a lookup for a client of this user, or of this login request.
    pub(crate) fn on_missed(&mut self, id: ConnectionId, target: Uuid, missed: MissedResult, now: Tick) {
        match missed {
            MissedResult::Pushes(result) => self.catch_up.on_lookup_result(id, target, result, now),
            // A response that was pushed meanwhile was written to this client, too.
            MissedResult::LoginResponse(response) if self.login_responses.get(target, now).is_none() => {
                let response = Arc::new(response);
                self.login_responses.insert(target, response.clone(), now);
                self.delay_response(id, response, now);
            }
            MissedResult::LoginResponse(_) => {}
        }
    }

    /// Records what a client's device has received when its connection ends.
    pub(crate) fn on_closed(
        &mut self,
        id: ConnectionId,
        connection: &Connection,
        close_reason: &CloseReason,
        now: Tick,
    ) {
        // A Close was received just now, in a SignalR message or in a WebSocket frame.
        let last_heard = if *close_reason == CloseReason::Client { now } else { connection.last_received() };
        let clock = self.clock;
        let dropped = self.catch_up.on_leave(id, device(connection), last_heard, || timestamp(clock));
        self.count_dropped(dropped);
    }

    /// Notes that a frame for a client did not fit into its socket.
    pub(crate) fn on_backlog(&mut self, id: ConnectionId, now: Tick) {
        self.catch_up.on_backlog(id, now);
    }

    /// Notes that no frame for a client waits any more.
    pub(crate) fn on_drained(&mut self, id: ConnectionId, now: Tick) {
        self.catch_up.on_drained(id, now);
    }

    /// Notes that every push up to a time of Redis' clock was in the command queue, which has been run, and is written.
    /// `Timestamp(0)` means that the subscription is interrupted.
    pub(crate) fn advance_watermark(&mut self, until: Timestamp) {
        // A single delivery may have advanced the watermark further already.
        if until > self.catch_up.written() || until == Timestamp::default() {
            self.catch_up.on_written(self.timestamp(), until);
        }
    }

    /// Without a backplane: notes that every push up to now is written.
    pub(crate) fn advance_local_watermark(&mut self) {
        if self.shared.presence.is_none() {
            self.catch_up.on_all_written(self.timestamp());
        }
    }

    /// Schedules a sync for a client, not before `earliest`.
    pub(crate) fn schedule_sync(&mut self, id: ConnectionId, reason: SyncReason, now: Tick, earliest: Tick) {
        self.catch_up.schedule_sync(id, reason, Timestamp::default(), now, earliest);
    }

    /// Takes the next sync that is due. The caller writes it now.
    pub(crate) fn take_due_sync(&mut self, now: Tick) -> Option<(ConnectionId, SyncReason)> {
        self.catch_up.take_due_sync(now)
    }

    /// Counts a sync that was written.
    pub(crate) fn count_sync(&self, reason: SyncReason) {
        self.shared.metrics.catch_up_syncs.inc(reason.label());
    }

    /// Takes the next delayed response that is due. Its connection may be closed.
    pub(crate) fn take_due_response(&mut self, now: Tick) -> Option<(ConnectionId, Arc<Delivery>)> {
        self.delayed_responses.take_due(now)
    }

    /// Returns whether a response is the latest one to its login request.
    pub(crate) fn is_current(&self, request: Uuid, response: &Arc<Delivery>) -> bool {
        self.login_responses.is_current(request, response)
    }

    /// Returns whether the handshake response of a connection, and all frames behind it, are held back.
    pub(crate) fn is_blocked(&self, id: ConnectionId) -> bool {
        self.subscribe_barrier.is_blocked(id)
    }

    /// Releases a connection whose channels are subscribed to. Returns `false` if it was not held back.
    pub(crate) fn release(&mut self, id: ConnectionId) -> bool {
        self.subscribe_barrier.release(id)
    }

    /// Releases and returns the next connection that was held back for too long.
    pub(crate) fn release_expired(&mut self, now: Tick) -> Option<ConnectionId> {
        self.subscribe_barrier.pop_expired(now)
    }

    /// Records which syncs are received by now. `connection` returns a connection, or `None` if it is closed.
    pub(crate) fn record_received_syncs<'a>(
        &mut self,
        now: Tick,
        connection: impl Fn(ConnectionId) -> Option<&'a Connection>,
    ) {
        let client = |id| connection(id).map(|connection| (device(connection), connection.last_received()));
        let dropped = self.catch_up.run_checks(now, self.timestamp(), client);
        self.count_dropped(dropped);
    }

    /// Returns the tick of the next sync, response or release, or an earlier one; `None` if nothing is scheduled.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        let next =
            [self.catch_up.next_sync(), self.delayed_responses.next_due(), self.subscribe_barrier.next_deadline()];
        next.into_iter().flatten().min()
    }

    fn delay_response(&mut self, id: ConnectionId, response: Arc<Delivery>, now: Tick) {
        self.delayed_responses.push(now.after(Tick::ticks_in(LOGIN_RESPONSE_DELAY)), id, response);
    }

    fn count_dropped(&self, records: usize) {
        self.shared.metrics.catch_up_records_dropped.inc_by(records as u64);
    }

    fn timestamp(&self) -> Timestamp {
        timestamp(self.clock)
    }
}

fn timestamp(clock: Clock) -> Timestamp {
    Timestamp::default().after(clock.elapsed())
}

/// Returns the records for catch-up, or `None` if catch-up is disabled.
fn records(shared: &Shared) -> Option<Box<dyn Records>> {
    let config = &shared.config;
    if !config.catch_up.enabled {
        return None;
    }
    Some(match &shared.presence {
        Some(presence) => Box::new(SharedRecords(presence.clone())),
        None => {
            let capacity = config.catch_up.max_entries.div_ceil(config.reactors);
            Box::new(LocalRecords::new(config.catch_up.window, capacity))
        }
    })
}

/// Returns the user and the device of a registered connection on the main hub.
fn device(connection: &Connection) -> Option<(Uuid, Device)> {
    connection.registered_protocol()?;
    Some((connection.user()?, connection.device?))
}
