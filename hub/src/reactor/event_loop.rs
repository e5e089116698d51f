//! One reactor's loop: a turn handles socket events, commands and timers, and calls the parts, each of which owns its state:
//! `sockets`, `ingress` (requests), `connections` and `fan_out`. Runs on the reactor's thread.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use uuid::Uuid;

use super::command::{CommandReceiver, CommandSender, ReactorCommand, WAKER_TOKEN};
use super::connections::Connections;
use super::drain_schedule::DrainSchedule;
use super::fan_out::FanOut;
use super::ingress::token_verifier::Verification;
use super::ingress::{self, AcceptedClient, Ingress, LISTENER_TOKEN};
use super::shard::shard_for;
use super::sockets::Sockets;
use super::sockets::slot::State;
use super::{DeliveryAck, PresenceSender, Shared, Status};
use crate::catch_up::Timestamp;
use crate::delivery::Delivery;
use crate::http::plain_http::{HttpHandoff, ReturnedConnection};
use crate::signalr::{Clock, CloseReason, Tick};

/// The longest wait of the poll, so that the status is published at least as often.
const MAX_POLL_WAIT: Duration = Duration::from_secs(1);

/// How often a drain closes connections.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a turn runs commands.
const COMMAND_BUDGET: Duration = Duration::from_millis(5);

/// One thread with its share of the connections.
pub(super) struct Reactor {
    number: usize,
    shared: Arc<Shared>,
    /// The status of every reactor, by number.
    statuses: Vec<Arc<Status>>,
    /// The command queues of every reactor, by number, this one included.
    peers: Vec<CommandSender>,
    commands: CommandReceiver,
    /// Whether commands were left when the budget of the last turn was spent.
    commands_pending: bool,
    poll: Poll,
    clock: Clock,
    sockets: Sockets,
    /// The public port, on the first reactor only.
    ingress: Option<Ingress>,
    connections: Connections,
    fan_out: FanOut,
    /// When the drain began, and what is left of it. `None` before.
    drain: Option<(Instant, DrainSchedule)>,
}

impl Reactor {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        statuses: Vec<Arc<Status>>,
        peers: Vec<CommandSender>,
        commands: CommandReceiver,
        poll: Poll,
    ) -> io::Result<Reactor> {
        let clock = Clock::start();
        let now = clock.now();
        Ok(Reactor {
            number,
            statuses,
            commands,
            commands_pending: false,
            sockets: Sockets::new(poll.registry().try_clone()?, now),
            ingress: None,
            connections: Connections::new(shared.clone(), peers[number].clone(), clock, peers.len()),
            fan_out: FanOut::new(shared.metrics.clone(), shared.config.heartbeat_interval, now),
            drain: None,
            peers,
            poll,
            clock,
            shared,
        })
    }

    /// Makes this the reactor that accepts connections. All reactors together hold `max_sockets` at the most.
    pub(super) fn open_public_port(
        &mut self,
        listener: TcpListener,
        http: HttpHandoff,
        verification: Verification,
        max_sockets: usize,
    ) -> io::Result<()> {
        let shared = self.shared.clone();
        self.ingress = Some(Ingress::open(shared, self.poll.registry(), listener, http, verification, max_sockets)?);
        Ok(())
    }

    /// Runs until a [`ReactorCommand::Stop`].
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.poll_timeout())) {
                if error.kind() != io::ErrorKind::Interrupted {
                    tracing::error!(%error, "poll failed");
                }
                continue;
            }
            self.sockets.now = self.clock.now();
            for slot in self.sockets.take_rereads() {
                if let Some(closed) = self.sockets.take_reread(slot) {
                    self.readable(slot, closed);
                }
            }
            for event in &events {
                match event.token() {
                    WAKER_TOKEN => {}
                    LISTENER_TOKEN => self.ingress.iter_mut().for_each(Ingress::on_listener_ready),
                    Token(slot) => self.event(slot as u32, event),
                }
            }
            // Read before the commands: everything up to this watermark is in the queue, and written once the queue is empty.
            let watermark = self.shared.presence.as_ref().map(PresenceSender::watermark);
            if self.run_commands() {
                return;
            }
            if let Some(watermark) = watermark.filter(|_| !self.commands_pending) {
                self.advance_watermark(watermark);
            }
            self.fan_out.run_chunk(&mut self.connections, &mut self.sockets);
            if self.fan_out.is_empty() {
                self.connections.catch_up().advance_local_watermark();
            }
            self.accept();
            self.run_timers();
            self.connections.release_expired(&mut self.sockets);
            self.connections.run_syncs(&mut self.sockets);
            self.connections.run_delayed_responses(&mut self.sockets);
            self.connections.record_received_syncs(&self.sockets);
            self.fan_out.run_heartbeat(self.sockets.now);
            self.run_drain();
            self.publish_status();
        }
    }

    /// Runs queued commands within the budget of a turn. Returns `true` if the reactor is to stop.
    fn run_commands(&mut self) -> bool {
        self.commands.rearm_wakeup();
        let mut since = None;
        while let Some(command) = self.commands.try_recv() {
            let since = *since.get_or_insert_with(Instant::now);
            match command {
                ReactorCommand::Deliver { delivery, ack, published } => self.deliver(&delivery, ack, published),
                ReactorCommand::AddConnection(mut pending) => {
                    if let Some(slot) = self.sockets.insert(&mut pending.socket) {
                        self.connections.add(&mut self.sockets, slot, pending);
                    }
                }
                ReactorCommand::Returned(returned) => self.take_back(returned),
                ReactorCommand::TokenVerified(result) => {
                    let open = self.open_connections();
                    let accepted = self
                        .ingress
                        .as_mut()
                        .and_then(|ingress| ingress.on_token_verified(&mut self.sockets, result, open));
                    self.place(accepted);
                }
                ReactorCommand::TokenDeferred => {
                    if let Some(ingress) = &mut self.ingress {
                        ingress.on_token_deferred(&mut self.sockets);
                    }
                }
                ReactorCommand::Subscribed(id) => self.connections.on_subscribed(&mut self.sockets, id),
                ReactorCommand::MissedResult(id, missed) => self.connections.on_missed(&self.sockets, id, missed),
                ReactorCommand::SyncAll { after, over } => self.connections.sync_all(&self.sockets, after, over),
                ReactorCommand::Drain(duration) => self.start_drain(duration),
                ReactorCommand::Stop => {
                    self.close_all();
                    return true;
                }
            }
            // Sockets, the listener and timers must not starve.
            self.commands_pending = since.elapsed() > COMMAND_BUDGET;
            if self.commands_pending {
                return false;
            }
        }
        self.commands_pending = false;
        false
    }

    /// Accepts waiting connections.
    fn accept(&mut self) {
        if self.ingress.as_ref().is_some_and(Ingress::is_listener_ready) {
            let peer_sockets = self.peer_sockets();
            self.ingress.iter_mut().for_each(|ingress| ingress.accept(&mut self.sockets, peer_sockets));
        }
    }

    /// Writes a push. `published` is when Redis published it, `None` if that is not known: every push that was published before
    /// has been written, too.
    fn deliver(&mut self, delivery: &Arc<Delivery>, ack: Arc<DeliveryAck>, published: Option<Timestamp>) {
        self.fan_out.deliver(&mut self.connections, &mut self.sockets, delivery, ack);
        if let Some(published) = published {
            self.advance_watermark(published);
        }
    }

    /// Notes that every push up to a time of Redis' clock was in the command queue, which has been run. All of them are written
    /// unless a fan-out is running.
    fn advance_watermark(&mut self, until: Timestamp) {
        if self.fan_out.is_empty() {
            self.connections.catch_up().advance_watermark(until);
        }
    }

    /// Takes back a connection whose request was answered by axum.
    fn take_back(&mut self, returned: ReturnedConnection) {
        let (peer_sockets, open) = (self.peer_sockets(), self.open_connections());
        match &mut self.ingress {
            Some(ingress) => {
                let accepted = ingress.take_back(&mut self.sockets, returned, peer_sockets, open);
                self.place(accepted);
            }
            None => ingress::close_after_answer(&mut self.sockets, returned),
        }
    }

    /// Sends an accepted client to the reactor that owns its user.
    fn place(&mut self, accepted: Option<AcceptedClient>) {
        let Some(AcceptedClient { slot, mut connection }) = accepted else { return };
        let shard = connection.principal.id().map_or(self.number, |id| shard_for(id, self.peers.len()));
        if shard == self.number {
            self.connections.add(&mut self.sockets, slot, connection);
        } else {
            self.sockets.release(slot, &mut connection.socket);
            self.peers[shard].send(ReactorCommand::AddConnection(connection));
        }
    }

    /// Returns how long the poll may wait for an event.
    fn poll_timeout(&self) -> Duration {
        if self.commands_pending || self.sockets.has_rereads() || !self.fan_out.is_empty() {
            return Duration::ZERO;
        }
        let timer = self.sockets.next_timer();
        let catch_up = self.connections.next_due();
        let due = [timer, catch_up].into_iter().flatten().min().map(|tick| self.clock.time_until(tick));
        let ingress = self.ingress.as_ref().and_then(Ingress::poll_timeout);
        let drain = self.drain.as_ref().and_then(|(_, drain)| (!drain.is_empty()).then_some(DRAIN_INTERVAL));
        [due, ingress, drain].into_iter().flatten().fold(MAX_POLL_WAIT, Duration::min)
    }

    fn event(&mut self, slot: u32, event: &Event) {
        if event.is_writable() {
            self.writable(slot);
        }
        let closed = event.is_read_closed() || event.is_error();
        if closed || event.is_readable() {
            self.readable(slot, closed);
        }
    }

    /// Handles a readable socket. `closed` tells that the peer has closed it.
    fn readable(&mut self, slot: u32, closed: bool) {
        // An event may be for a socket that an earlier event of this turn has ended.
        match self.sockets.state(slot) {
            Some(State::Open(_)) => self.connections.read(&mut self.sockets, slot, closed),
            Some(State::Receiving(_)) => {
                let open = self.open_connections();
                let accepted =
                    self.ingress.as_mut().and_then(|ingress| ingress.read_head(&mut self.sockets, slot, open));
                self.place(accepted);
            }
            Some(State::Closing(_)) => self.sockets.drive_close(slot),
            Some(State::Vacant) | None => {}
        }
    }

    fn writable(&mut self, slot: u32) {
        match self.sockets.state(slot) {
            Some(State::Open(_)) => self.connections.flush(&mut self.sockets, slot),
            Some(State::Closing(_)) => self.sockets.drive_close(slot),
            Some(State::Receiving(_) | State::Vacant) | None => {}
        }
    }

    /// Runs every timer that may be due.
    fn run_timers(&mut self) {
        while let Some(slots) = self.sockets.pop_expired() {
            for slot in slots {
                let deadline = match self.sockets.state(slot) {
                    Some(State::Open(_)) => {
                        self.connections.on_timer(&mut self.sockets, slot);
                        continue;
                    }
                    Some(State::Receiving(request)) => request.deadline,
                    Some(State::Closing(closing)) => closing.deadline(),
                    Some(State::Vacant) | None => continue,
                };
                if self.sockets.now < deadline {
                    self.sockets.schedule(slot, deadline);
                } else {
                    self.on_deadline(slot);
                }
            }
        }
    }

    /// Removes a request or a closing socket whose deadline has passed.
    fn on_deadline(&mut self, slot: u32) {
        match (&mut self.ingress, self.sockets.state(slot)) {
            (Some(ingress), Some(State::Receiving(_))) => ingress.on_deadline(&mut self.sockets, slot),
            _ => self.sockets.remove(slot),
        }
    }

    /// Closes the public port, drops the requests that are still being received, and starts to close the connections.
    fn start_drain(&mut self, duration: Duration) {
        self.ingress = None;
        self.sockets.retain(|state| !matches!(state, State::Receiving(_)));
        self.connections.refuse_clients();
        let open: Vec<u32> = self.sockets.iter_open().map(|(id, _)| id.slot).collect();
        let drain = DrainSchedule::new(open, duration, || Uuid::new_v4().as_u64_pair().1);
        self.drain = Some((Instant::now(), drain));
    }

    fn run_drain(&mut self) {
        if let Some((since, drain)) = &mut self.drain {
            for slot in drain.take_due(since.elapsed()) {
                self.connections.close(&mut self.sockets, slot, CloseReason::ServerShutdown);
            }
        }
    }

    /// Resets all sockets, without waiting for any.
    fn close_all(&mut self) {
        let all: Vec<u32> = self.sockets.iter().map(|(slot, _)| slot).collect();
        for slot in all {
            match self.sockets.state(slot) {
                Some(State::Open(_)) => self.connections.close(&mut self.sockets, slot, CloseReason::Reset),
                Some(State::Closing(closing)) => closing.set_reset_on_close(),
                Some(State::Receiving(_) | State::Vacant) | None => {}
            }
        }
    }

    /// Publishes the status of this reactor for other threads.
    fn publish_status(&self) {
        let status = &self.statuses[self.number];
        let last_turn_ms = u64::from(self.sockets.now.0) * Tick::LENGTH.as_millis() as u64;
        status.last_turn_ms.store(last_turn_ms, Ordering::Relaxed);
        status.sockets.store(self.sockets.len(), Ordering::Relaxed);
        status.connections.store(self.connections.open(), Ordering::Relaxed);
        let drained = self.drain.as_ref().is_some_and(|(_, drain)| drain.is_empty()) && self.sockets.len() == 0;
        status.drained.store(drained, Ordering::Relaxed);
    }

    /// Returns how many sockets the other reactors hold.
    fn peer_sockets(&self) -> usize {
        self.peer_statuses().map(|status| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// Returns how many open connections all reactors hold.
    fn open_connections(&self) -> usize {
        let peers: usize = self.peer_statuses().map(|status| status.connections.load(Ordering::Relaxed)).sum();
        self.connections.open() + peers
    }

    fn peer_statuses(&self) -> impl Iterator<Item = &Arc<Status>> {
        self.statuses.iter().enumerate().filter(|(number, _)| *number != self.number).map(|(_, status)| status)
    }
}
