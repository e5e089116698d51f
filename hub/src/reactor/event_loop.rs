//! One reactor's loop: a turn handles socket events, commands and timers, and calls the parts, each of which owns its state:
//! `sockets`, `ingress` (requests), `connections` and `fan_out`. Runs on the reactor's thread.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};
use uuid::Uuid;

use super::command::{CommandReceiver, CommandSender, ReactorCommand, WAKER_TOKEN};
use super::connections::Connections;
use super::drain_schedule::DrainSchedule;
use super::fan_out::FanOut;
use super::ingress::acceptor::LISTENER_TOKEN;
use super::ingress::{self, AcceptedClient, Ingress};
use super::shard::shard_for;
use super::sockets::Sockets;
use super::sockets::slot::State;
use super::status::OwnStatus;
use super::{DeliveryAck, PresenceSender, Shared, scheduled_frames, timers};
use crate::catch_up::Timestamp;
use crate::delivery::Delivery;
use crate::http::plain_http::ReturnedConnection;
use crate::signalr::{Clock, CloseReason, Tick};

/// The longest wait of the poll, so that the status is published at least as often.
const MAX_POLL_WAIT: Duration = Duration::from_secs(1);

/// How long a turn runs commands.
const COMMAND_BUDGET: Duration = Duration::from_millis(5);

/// One thread with its share of the connections.
pub(super) struct Reactor {
    shared: Arc<Shared>,
    status: OwnStatus,
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
    /// What is left of the drain, `None` before it begins.
    drain: Option<DrainSchedule>,
}

impl Reactor {
    /// Creates a reactor without connections. `ingress` is the public port, on the first reactor only.
    pub(super) fn new(
        shared: Arc<Shared>,
        status: OwnStatus,
        peers: Vec<CommandSender>,
        commands: CommandReceiver,
        poll: Poll,
        ingress: Option<Ingress>,
    ) -> io::Result<Reactor> {
        let clock = Clock::start();
        let now = clock.now();
        Ok(Reactor {
            commands,
            commands_pending: false,
            sockets: Sockets::new(poll.registry().try_clone()?, now),
            ingress,
            connections: Connections::new(shared.clone(), status.clone(), peers[status.number].clone(), clock),
            fan_out: FanOut::new(shared.metrics.clone(), shared.config.heartbeat_interval, now),
            status,
            drain: None,
            peers,
            poll,
            clock,
            shared,
        })
    }

    /// Runs until a [`ReactorCommand::Stop`].
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.poll_timeout();
            if let Err(error) = self.poll.poll(&mut events, Some(timeout)) {
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
            if let Some(ingress) = &mut self.ingress {
                ingress.accept(&mut self.sockets);
            }
            timers::run_due(&mut self.connections, self.ingress.as_mut(), &mut self.sockets);
            scheduled_frames::run_due(&mut self.connections, &mut self.sockets);
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
                    let ingress = self.ingress.as_mut();
                    let accepted = ingress.and_then(|ingress| ingress.on_token_verified(&mut self.sockets, result));
                    self.place(accepted);
                }
                ReactorCommand::TokenDeferred => {
                    if let Some(ingress) = &mut self.ingress {
                        ingress.on_token_deferred(&mut self.sockets);
                    }
                }
                ReactorCommand::Subscribed(id) => {
                    scheduled_frames::on_subscribed(&mut self.connections, &mut self.sockets, id);
                }
                ReactorCommand::MissedResult(id, missed) => {
                    scheduled_frames::on_missed(&mut self.connections, &self.sockets, id, missed);
                }
                ReactorCommand::SyncAll { after, over } => {
                    scheduled_frames::sync_all(&mut self.connections, &self.sockets, after, over);
                }
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
        let Some(ingress) = &mut self.ingress else {
            return ingress::close_after_answer(&mut self.sockets, returned);
        };
        let accepted = ingress.take_back(&mut self.sockets, returned);
        self.place(accepted);
    }

    /// Sends an accepted client to the reactor that owns its user.
    fn place(&mut self, accepted: Option<AcceptedClient>) {
        let Some(AcceptedClient { slot, mut connection }) = accepted else { return };
        let shard = connection.principal.id().map_or(self.status.number, |id| shard_for(id, self.peers.len()));
        if shard == self.status.number {
            self.connections.add(&mut self.sockets, slot, connection);
        } else {
            self.sockets.release(slot, &mut connection.socket);
            self.peers[shard].send(ReactorCommand::AddConnection(connection));
        }
    }

    /// Returns how long the poll may wait for an event.
    fn poll_timeout(&mut self) -> Duration {
        if self.commands_pending || self.sockets.has_rereads() || !self.fan_out.is_empty() {
            return Duration::ZERO;
        }
        let timer = self.sockets.next_timer();
        let catch_up = self.connections.catch_up().next_due();
        let due = [timer, catch_up].into_iter().flatten().min().map(|tick| self.clock.time_until(tick));
        let ingress = self.ingress.as_ref().and_then(Ingress::poll_timeout);
        let drain = self.drain.as_ref().and_then(DrainSchedule::poll_timeout);
        [due, ingress, drain].into_iter().flatten().fold(MAX_POLL_WAIT, Duration::min)
    }

    fn event(&mut self, slot: u32, event: &Event) {
        if event.is_writable() {
            match self.sockets.state(slot) {
                // Most events that tell of bytes to read tell of an idle socket's room, too.
                Some(State::Open(connection)) if connection.is_waiting() => {
                    self.connections.flush(&mut self.sockets, slot);
                }
                Some(State::Closing(_)) => self.sockets.drive_close(slot),
                Some(State::Open(_) | State::Receiving(_) | State::Vacant) | None => {}
            }
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
                let ingress = self.ingress.as_mut();
                let accepted = ingress.and_then(|ingress| ingress.read_head(&mut self.sockets, slot));
                self.place(accepted);
            }
            Some(State::Closing(_)) => self.sockets.drive_close(slot),
            Some(State::Vacant) | None => {}
        }
    }

    /// Closes the public port, drops the requests that are still being received, and starts to close the connections.
    fn start_drain(&mut self, duration: Duration) {
        self.ingress = None;
        self.sockets.retain(|state| !matches!(state, State::Receiving(_)));
        self.connections.refuse_clients();
        let open: Vec<u32> = self.sockets.iter_open().map(|(id, _)| id.slot).collect();
        self.drain = Some(DrainSchedule::new(open, Instant::now(), duration, || Uuid::new_v4().as_u64_pair().1));
    }

    fn run_drain(&mut self) {
        let due = self.drain.as_mut().map(|drain| drain.take_due(Instant::now()));
        for slot in due.into_iter().flatten() {
            self.connections.close(&mut self.sockets, slot, CloseReason::ServerShutdown);
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
        let since_start = Tick::LENGTH * self.sockets.now.0;
        let is_drained = self.drain.as_ref().is_some_and(DrainSchedule::is_empty) && self.sockets.len() == 0;
        self.status.set_turn(since_start, self.sockets.len(), is_drained);
    }
}
