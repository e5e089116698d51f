//! One reactor's loop. A turn handles socket events, commands and timers, and calls `ingress` (requests), `connections`, `fan_out` and `catch_up`.
//! Runs on the reactor's thread, which alone touches its state.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use uuid::Uuid;

use super::catch_up::delayed_responses::DelayedResponses;
use super::catch_up::login_responses::LoginResponses;
use super::catch_up::presence::SharedRecords;
use super::catch_up::subscribe_barrier::SubscribeBarrier;
use super::command::{CommandReceiver, CommandSender, ReactorCommand, WAKER_TOKEN};
use super::connections::closing_socket::ClosingSocket;
use super::connections::connection::WriteLimits;
use super::connections::outbox::Outbox;
use super::connections::registry::Registry;
use super::connections::slot::{Slot, State};
use super::connections::socket::Socket;
use super::drain_schedule::DrainSchedule;
use super::fan_out::queue::FanOutQueue;
use super::ingress::acceptor::LISTENER_TOKEN;
use super::ingress::admission::Inbound;
use super::timer_wheel::TimerWheel;
use super::{PresenceSender, Shared, Status};
use crate::catch_up::{CatchUp, LocalRecords, Records};
use crate::delivery::Delivery;
use crate::signalr::protocol::Protocol;
use crate::signalr::{self, Clock, CloseReason, SessionConfig, Tick};
use crate::websocket::Frame;

/// The longest wait of the poll, so that the status is published at least as often.
const MAX_POLL_WAIT: Duration = Duration::from_secs(1);

/// How often a drain closes connections.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// How long the response to a login request is kept for its client.
const LOGIN_RESPONSE_TTL: Duration = Duration::from_secs(120);

/// How long a turn runs commands.
const COMMAND_BUDGET: Duration = Duration::from_millis(5);

/// The size of the read buffer, which all sockets share.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// One thread with its share of the connections.
pub(super) struct Reactor {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    /// The status of every reactor, by number.
    statuses: Vec<Arc<Status>>,
    /// The command queues of every reactor, by number, this one included.
    pub(super) peers: Vec<CommandSender>,
    commands: CommandReceiver,
    pub(super) poll: Poll,
    pub(super) slots: Slab<Slot>,
    /// The generation of the latest socket.
    pub(super) generation: u32,
    pub(super) registry: Registry,
    /// How many of the slots are open connections.
    pub(super) connections: usize,
    /// How many connections each user has. Empty without a limit per user.
    pub(super) users: HashMap<Uuid, usize>,
    timers: TimerWheel,
    pub(super) clock: Clock,
    pub(super) now: Tick,
    pub(super) session_config: SessionConfig,
    pub(super) write_limits: WriteLimits,
    /// Upper bound of the bytes of incomplete messages.
    pub(super) unfinished_bytes: usize,
    /// Slots whose sockets may hold more bytes: events are edge-triggered.
    reread: Vec<u32>,
    /// Whether commands were left when the budget of the last turn was spent.
    commands_pending: bool,
    pub(super) buffer: Vec<u8>,
    /// A buffer for the next bytes to write, reused.
    pub(super) scratch: Vec<u8>,
    /// The public port, on the first reactor only.
    pub(super) inbound: Option<Inbound>,
    pub(super) delayed_responses: DelayedResponses,
    /// Connections whose handshake response waits for the backplane.
    pub(super) subscribe_barrier: SubscribeBarrier,
    pub(super) login_responses: LoginResponses,
    pub(super) catch_up: CatchUp,
    /// The ping frames, by protocol.
    pub(super) pings: [Frame; 2],
    /// Pushes to many connections that are being written.
    pub(super) fan_outs: FanOutQueue,
    pub(super) heartbeat: Arc<Delivery>,
    pub(super) next_heartbeat: Tick,
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
    ) -> Reactor {
        let config = &shared.config;
        let clock = Clock::start();
        let session_config = SessionConfig {
            handshake_timeout: Tick::ticks_in(config.signalr.handshake_timeout),
            keep_alive: Tick::ticks_in(config.signalr.keep_alive),
            client_timeout: Tick::ticks_in(config.signalr.client_timeout),
            message_timeout: Tick::ticks_in(config.signalr.message_timeout),
            max_message: config.signalr.max_message,
        };
        let write_limits = WriteLimits {
            max_queued_bytes: config.slow_consumer.queue,
            write_timeout: Tick::ticks_in(config.slow_consumer.timeout),
        };
        let now = clock.now();
        Reactor {
            number,
            statuses,
            peers,
            commands,
            poll,
            slots: Slab::new(),
            generation: 0,
            registry: Registry::default(),
            connections: 0,
            users: HashMap::default(),
            timers: TimerWheel::new(now),
            clock,
            now,
            session_config,
            write_limits,
            unfinished_bytes: 0,
            reread: Vec::new(),
            commands_pending: false,
            buffer: vec![0; READ_BUFFER_BYTES],
            scratch: Vec::new(),
            inbound: None,
            delayed_responses: DelayedResponses::default(),
            subscribe_barrier: SubscribeBarrier::default(),
            login_responses: LoginResponses::new(Tick::ticks_in(LOGIN_RESPONSE_TTL)),
            catch_up: CatchUp::new(records(&shared), config.signalr.keep_alive, config.catch_up.spread),
            pings: Protocol::VARIANTS.map(|protocol| Frame::new(protocol, signalr::ping(protocol))),
            fan_outs: FanOutQueue::default(),
            heartbeat: Arc::new(Delivery::heartbeat()),
            next_heartbeat: now.after(Tick::ticks_in(config.heartbeat)),
            drain: None,
            shared,
        }
    }

    /// Runs until a [`ReactorCommand::Stop`].
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.poll_timeout())) {
                if error.kind() != std::io::ErrorKind::Interrupted {
                    tracing::error!(%error, "the poll failed");
                }
                continue;
            }
            self.now = self.clock.now();
            for slot in std::mem::take(&mut self.reread) {
                if let Some(closed) = self.slots.get_mut(slot as usize).and_then(|slot| slot.reread.take()) {
                    self.readable(slot, closed);
                }
            }
            for event in &events {
                match event.token() {
                    WAKER_TOKEN => {}
                    LISTENER_TOKEN => self.inbound.iter_mut().for_each(|inbound| inbound.acceptor.ready = true),
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
            self.run_fan_out_chunk();
            self.advance_local_watermark();
            self.accept();
            self.run_timers();
            self.expire_subscribe_barrier();
            self.run_syncs();
            self.run_delayed_responses();
            self.record_received_syncs();
            self.send_heartbeats();
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
                ReactorCommand::Deliver { delivery, ack, published } => {
                    self.deliver_published(&delivery, ack, published);
                }
                ReactorCommand::AddConnection(pending) => self.on_add_connection(pending),
                ReactorCommand::Returned(returned) => self.take_back(returned),
                ReactorCommand::TokenVerified(result) => self.on_token_verified(result),
                ReactorCommand::TokenDeferred => self.on_token_deferred(),
                ReactorCommand::Subscribed(id) => self.on_subscribed(id),
                ReactorCommand::MissedResult(id, missed) => self.on_missed(id, missed),
                ReactorCommand::SyncAll { after, over } => self.sync_all(after, over),
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

    /// Reads from a socket again in the next turn. `closed` tells that the peer has closed it.
    pub(super) fn queue_reread(&mut self, slot: u32, closed: bool) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        match &mut entry.reread {
            Some(known) => *known |= closed,
            None => {
                entry.reread = Some(closed);
                self.reread.push(slot);
            }
        }
    }

    /// Returns how long the poll may wait for an event.
    fn poll_timeout(&self) -> Duration {
        if self.commands_pending || !self.reread.is_empty() || !self.fan_outs.is_empty() {
            return Duration::ZERO;
        }
        let tick = self.timers.next_deadline().map(|tick| self.clock.time_until(tick));
        let inbound = self.inbound.as_ref().and_then(|inbound| inbound.acceptor.poll_timeout());
        let drain = self.drain.as_ref().and_then(|(_, drain)| (!drain.is_empty()).then_some(DRAIN_INTERVAL));
        let sync = self.catch_up.next_sync().map(|tick| self.clock.time_until(tick));
        let response = self.delayed_responses.next_due().map(|tick| self.clock.time_until(tick));
        let wait = self.subscribe_barrier.next_deadline().map(|tick| self.clock.time_until(tick));
        [tick, inbound, drain, sync, response, wait].into_iter().flatten().fold(MAX_POLL_WAIT, Duration::min)
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
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Receiving(_)) => self.read_head(slot),
            Some(State::Open(_)) => self.read_ready(slot, closed),
            Some(State::Closing(_)) => self.drive_close(slot),
            Some(State::Vacant) | None => {}
        }
    }

    fn writable(&mut self, slot: u32) {
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Open(_)) => self.flush(slot),
            Some(State::Closing(_)) => self.drive_close(slot),
            Some(State::Receiving(_) | State::Vacant) | None => {}
        }
    }

    /// Registers a socket with the poll and reserves a slot for it. Returns `None` if the system refuses.
    pub(super) fn insert_socket(&mut self, socket: &mut Socket) -> Option<u32> {
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        let interests = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(socket, Token(slot), interests) {
            tracing::warn!(%error, "a connection could not be watched");
            return None;
        }
        self.generation = self.generation.wrapping_add(1);
        entry.insert(Slot::new(self.generation));
        Some(slot as u32)
    }

    /// Schedules a timer of a slot. It may fire early, never late.
    pub(super) fn schedule(&mut self, slot: u32, due: Tick) {
        self.timers.schedule(slot, due);
    }

    /// Starts the lingering close of a socket, which is given up after `lingers`.
    pub(super) fn start_closing(&mut self, slot: u32, socket: Socket, outbox: Outbox, lingers: Duration) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            let deadline = self.now.after(Tick::ticks_in(lingers));
            entry.state = State::Closing(Box::new(ClosingSocket::new(socket, outbox, deadline)));
            self.schedule(slot, deadline);
            self.drive_close(slot);
        }
    }

    fn drive_close(&mut self, slot: u32) {
        if let Some(Slot { state: State::Closing(closing), .. }) = self.slots.get_mut(slot as usize)
            && closing.drive(&mut self.buffer, self.now)
        {
            self.slots.remove(slot as usize);
        }
    }

    /// Runs every timer that may be due.
    fn run_timers(&mut self) {
        while let Some(slots) = self.timers.pop_expired(self.now) {
            for slot in slots {
                let deadline = match self.slots.get(slot as usize).map(|slot| &slot.state) {
                    Some(State::Open(_)) => {
                        self.on_timer(slot);
                        continue;
                    }
                    Some(State::Receiving(request)) => request.deadline,
                    Some(State::Closing(closing)) => closing.deadline(),
                    Some(State::Vacant) | None => continue,
                };
                if self.now < deadline {
                    self.schedule(slot, deadline);
                } else {
                    self.on_deadline(slot);
                }
            }
        }
    }

    fn start_drain(&mut self, duration: Duration) {
        self.close_public_port();
        let open = self.slots.iter().filter(|(_, slot)| matches!(slot.state, State::Open(_)));
        let open: Vec<u32> = open.map(|(slot, _)| slot as u32).collect();
        let drain = DrainSchedule::new(open, duration, || Uuid::new_v4().as_u64_pair().1);
        self.drain = Some((Instant::now(), drain));
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    fn run_drain(&mut self) {
        if let Some((since, drain)) = &mut self.drain {
            for slot in drain.take_due(since.elapsed()) {
                self.close(slot, CloseReason::ServerShutdown);
            }
        }
    }

    /// Resets all sockets, without waiting for any.
    fn close_all(&mut self) {
        let open: Vec<u32> = self.slots.iter().map(|(slot, _)| slot as u32).collect();
        for slot in open {
            match self.slots.get(slot as usize).map(|slot| &slot.state) {
                Some(State::Open(_)) => self.close(slot, CloseReason::Reset),
                Some(State::Closing(closing)) => closing.set_reset_on_close(),
                Some(State::Receiving(_) | State::Vacant) | None => {}
            }
        }
    }

    /// Publishes the status of this reactor for other threads.
    fn publish_status(&self) {
        let status = &self.statuses[self.number];
        status.last_turn_ms.store(u64::from(self.now.0) * Tick::LENGTH.as_millis() as u64, Ordering::Relaxed);
        status.sockets.store(self.slots.len(), Ordering::Relaxed);
        status.connections.store(self.connections, Ordering::Relaxed);
        let drained = self.drain.as_ref().is_some_and(|(_, drain)| drain.is_empty()) && self.slots.is_empty();
        status.drained.store(drained, Ordering::Relaxed);
    }

    /// Returns how many sockets the other reactors hold.
    pub(super) fn peer_sockets(&self) -> usize {
        self.peer_statuses().map(|status| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// Returns how many open connections the other reactors hold.
    pub(super) fn peer_connections(&self) -> usize {
        self.peer_statuses().map(|status| status.connections.load(Ordering::Relaxed)).sum()
    }

    fn peer_statuses(&self) -> impl Iterator<Item = &Arc<Status>> {
        self.statuses.iter().enumerate().filter(|(number, _)| *number != self.number).map(|(_, status)| status)
    }
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
            let capacity = config.catch_up.users.div_ceil(config.reactors);
            Box::new(LocalRecords::new(config.catch_up.window, capacity))
        }
    })
}
