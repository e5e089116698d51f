//! One reactor's loop: events, mail and time in, calls to `front` (requests) and `clients` (connections) out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use uuid::Uuid;

use super::acceptor::LISTEN;
use super::connection::Patience;
use super::delayed_sends::DelayedSends;
use super::departure::Departure;
use super::drain::Drain;
use super::fan_out::FanOuts;
use super::front::Front;
use super::mailbox::{Letters, Mail, Mailbox, WAKE};
use super::outbox::Outbox;
use super::presence::SharedRecords;
use super::registry::Registry;
use super::responses::Responses;
use super::slot::{Slot, State};
use super::socket::Socket;
use super::subscribe_barrier::SubscribeBarrier;
use super::wheel::Wheel;
use super::{Roll, Shared, Status};
use crate::catch_up::{CatchUp, LocalRecords, Records};
use crate::connection::{self, Clock, Ending, Terms, Tick};
use crate::delivery::Delivery;
use crate::protocol::Protocol;
use crate::transport::websocket::Frame;

/// The longest wait: the loop shows that it is alive.
const BEAT: Duration = Duration::from_secs(1);

/// How often a drain goes on.
const DRAIN_STEP: Duration = Duration::from_millis(50);

/// How long the answer to a login request waits for its client (`decisions.md` 5).
const RESPONSES_KEPT: Duration = Duration::from_secs(120);

/// How long a turn reads mail.
const MAIL_BUDGET: Duration = Duration::from_millis(5);

/// Bytes read at once, for whatever socket.
const BUFFER: usize = 64 * 1024;

/// One thread's share of the connections.
pub(super) struct Reactor {
    pub(super) number: usize,
    pub(super) shared: Arc<Shared>,
    /// Of all reactors.
    statuses: Vec<Arc<Status>>,
    /// Of all reactors, this one included.
    pub(super) peers: Vec<Mailbox>,
    letters: Letters,
    pub(super) poll: Poll,
    pub(super) slots: Slab<Slot>,
    /// Of the next socket.
    generation: u32,
    pub(super) registry: Registry,
    /// How many of the slots are clients.
    pub(super) clients: usize,
    /// How many clients each user has, where there is a limit.
    pub(super) users: HashMap<Uuid, usize>,
    wheel: Wheel,
    pub(super) clock: Clock,
    pub(super) now: Tick,
    pub(super) terms: Terms,
    pub(super) patience: Patience,
    /// Bytes of messages that are not whole, at the most.
    pub(super) unfinished: usize,
    /// Slots whose sockets may have more to read: events come only once.
    again: Vec<u32>,
    /// There may be more mail than a turn has time for.
    more_mail: bool,
    pub(super) buffer: Vec<u8>,
    /// For what is said next.
    pub(super) spare: Vec<u8>,
    /// On the first reactor: the public port.
    pub(super) front: Option<Front>,
    pub(super) delayed_sends: DelayedSends,
    /// With a backplane: connections whose handshake is not answered yet.
    pub(super) subscribe_barrier: SubscribeBarrier,
    pub(super) responses: Responses,
    pub(super) catch_up: CatchUp,
    /// What shows clients that the hub is alive, by protocol.
    pub(super) pings: [Frame; 2],
    /// Pushes to many, under way.
    pub(super) fan_outs: FanOuts,
    pub(super) heartbeat: Arc<Delivery>,
    pub(super) next_heartbeat: Tick,
    /// Since when, and how far: set once, it stays.
    drain: Option<(Instant, Drain)>,
}

impl Reactor {
    pub(super) fn new(
        number: usize,
        shared: Arc<Shared>,
        statuses: Vec<Arc<Status>>,
        peers: Vec<Mailbox>,
        letters: Letters,
        poll: Poll,
    ) -> Reactor {
        let config = &shared.config;
        let clock = Clock::start();
        let terms = Terms {
            handshake_timeout: Tick::count(config.signalr.handshake_timeout),
            keep_alive: Tick::count(config.signalr.keep_alive),
            client_timeout: Tick::count(config.signalr.client_timeout),
            message_timeout: Tick::count(config.signalr.message_timeout),
            max_message: config.signalr.max_message,
        };
        let patience =
            Patience { queue: config.slow_consumer.queue, timeout: Tick::count(config.slow_consumer.timeout) };
        let now = clock.now();
        Reactor {
            number,
            statuses,
            peers,
            letters,
            poll,
            slots: Slab::new(),
            generation: 0,
            registry: Registry::default(),
            clients: 0,
            users: HashMap::default(),
            wheel: Wheel::new(now),
            clock,
            now,
            terms,
            patience,
            unfinished: 0,
            again: Vec::new(),
            more_mail: false,
            buffer: vec![0; BUFFER],
            spare: Vec::new(),
            front: None,
            delayed_sends: DelayedSends::default(),
            subscribe_barrier: SubscribeBarrier::default(),
            responses: Responses::new(Tick::count(RESPONSES_KEPT)),
            catch_up: CatchUp::new(records(&shared), config.signalr.keep_alive, config.catch_up.spread),
            pings: Protocol::EVERY.map(|protocol| Frame::new(protocol, connection::ping(protocol))),
            fan_outs: FanOuts::default(),
            heartbeat: Arc::new(Delivery::heartbeat()),
            next_heartbeat: now.after(Tick::count(config.heartbeat)),
            drain: None,
            shared,
        }
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.patience_of_the_loop())) {
                if error.kind() != std::io::ErrorKind::Interrupted {
                    tracing::error!(%error, "the poll failed");
                }
                continue;
            }
            self.now = self.clock.now();
            for slot in std::mem::take(&mut self.again) {
                if let Some(closed) = self.slots.get_mut(slot as usize).and_then(|slot| slot.again.take()) {
                    self.readable(slot, closed);
                }
            }
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTEN => self.front.iter_mut().for_each(|front| front.acceptor.ready = true),
                    Token(slot) => self.event(slot as u32, event),
                }
            }
            // What is in the mail now is read before anybody is said to have heard it.
            let heard = self.shared.roll.as_ref().map(Roll::heard);
            if self.read_mail() {
                return;
            }
            if let Some(heard) = heard.filter(|_| !self.more_mail) {
                self.on_stream(heard);
            }
            self.go_on_fanning_out();
            self.note_written();
            self.accept();
            self.expire();
            self.expire_subscribe_barrier();
            self.run_delayed_sends();
            self.settle_syncs();
            self.beat_hearts();
            self.go_on_draining();
            self.tell();
        }
    }

    /// Does what others ask for, as long as the turn has time for it; true if the reactor is to stop.
    fn read_mail(&mut self) -> bool {
        self.letters.look();
        let mut since = None;
        while let Some(mail) = self.letters.next() {
            let since = *since.get_or_insert_with(Instant::now);
            match mail {
                Mail::Deliver { delivery, receipt, published } => {
                    self.deliver_published(&delivery, receipt, published);
                }
                Mail::Adopt(newcomer) => self.adopt_from_peer(newcomer),
                Mail::Returned(returned) => self.take_back(returned),
                Mail::Verified(verdict) => self.verified(verdict),
                Mail::KeysAwaited => self.keys_awaited(),
                Mail::Subscribed(id) => self.on_subscribed(id),
                Mail::Missed(id, missed) => self.on_missed(id, missed),
                Mail::SyncEverybody { after, over } => self.sync_everybody(after, over),
                Mail::Drain(duration) => self.start_drain(duration),
                Mail::Stop => {
                    self.cut_off();
                    return true;
                }
            }
            // However much comes, sockets, clients at the door and timers have their turn.
            self.more_mail = since.elapsed() > MAIL_BUDGET;
            if self.more_mail {
                return false;
            }
        }
        self.more_mail = false;
        false
    }

    /// Reads on from a socket in the next turn. `closed`: its end is near.
    pub(super) fn read_again(&mut self, slot: u32, closed: bool) {
        let Some(entry) = self.slots.get_mut(slot as usize) else { return };
        match &mut entry.again {
            Some(known) => *known |= closed,
            None => {
                entry.again = Some(closed);
                self.again.push(slot);
            }
        }
    }

    /// How long the loop may wait for an event.
    fn patience_of_the_loop(&self) -> Duration {
        if self.more_mail || !self.again.is_empty() || !self.fan_outs.is_empty() {
            return Duration::ZERO;
        }
        let tick = self.wheel.earliest().map(|tick| self.clock.until(tick));
        let front = self.front.as_ref().and_then(|front| front.acceptor.patience());
        let drain = self.drain.as_ref().and_then(|(_, drain)| (!drain.is_over()).then_some(DRAIN_STEP));
        let send = self.delayed_sends.next().map(|tick| self.clock.until(tick));
        let wait = self.subscribe_barrier.next().map(|tick| self.clock.until(tick));
        [tick, front, drain, send, wait].into_iter().flatten().fold(BEAT, Duration::min)
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

    /// A socket has something to read; `closed`: its end is near.
    fn readable(&mut self, slot: u32, closed: bool) {
        // An event may be for a socket that an earlier event of this turn has ended.
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Arriving(_)) => self.read_head(slot),
            Some(State::Open(_)) => self.hear(slot, closed),
            Some(State::Leaving(_)) => self.proceed(slot),
            Some(State::Gone) | None => {}
        }
    }

    fn writable(&mut self, slot: u32) {
        match self.slots.get_mut(slot as usize).map(|slot| &mut slot.state) {
            Some(State::Open(_)) => self.flush(slot),
            Some(State::Leaving(_)) => self.proceed(slot),
            Some(State::Arriving(_) | State::Gone) | None => {}
        }
    }

    /// Watches a socket and keeps a slot for it; nothing if the system refuses.
    pub(super) fn reserve(&mut self, socket: &mut Socket) -> Option<u32> {
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

    /// Looks at a slot again when a tick begins, or earlier.
    pub(super) fn arm(&mut self, slot: u32, due: Tick) {
        self.wheel.arm(slot, due);
    }

    /// Has a socket say its last words, and gives it so long for them.
    pub(super) fn depart(&mut self, slot: u32, socket: Socket, outbox: Outbox, lingers: Duration) {
        if let Some(entry) = self.slots.get_mut(slot as usize) {
            let deadline = self.now.after(Tick::count(lingers));
            entry.state = State::Leaving(Box::new(Departure::new(socket, outbox, deadline)));
            self.arm(slot, deadline);
            self.proceed(slot);
        }
    }

    fn proceed(&mut self, slot: u32) {
        if let Some(Slot { state: State::Leaving(departure), .. }) = self.slots.get_mut(slot as usize)
            && departure.proceed(&mut self.buffer, self.now)
        {
            self.slots.remove(slot as usize);
        }
    }

    /// Looks at every slot whose time may have come.
    fn expire(&mut self) {
        while let Some(slots) = self.wheel.expired(self.now) {
            for slot in slots {
                let deadline = match self.slots.get(slot as usize).map(|slot| &slot.state) {
                    Some(State::Open(_)) => {
                        self.tick(slot);
                        continue;
                    }
                    Some(State::Arriving(arrival)) => arrival.deadline,
                    Some(State::Leaving(departure)) => departure.deadline(),
                    Some(State::Gone) | None => continue,
                };
                if self.now < deadline {
                    self.arm(slot, deadline);
                } else {
                    self.is_late(slot);
                }
            }
        }
    }

    fn start_drain(&mut self, duration: Duration) {
        self.close_front_door();
        let open = self.slots.iter().filter(|(_, slot)| matches!(slot.state, State::Open(_)));
        let open: Vec<u32> = open.map(|(slot, _)| slot as u32).collect();
        let drain = Drain::new(open, duration, || Uuid::new_v4().as_u64_pair().1);
        self.drain = Some((Instant::now(), drain));
    }

    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    fn go_on_draining(&mut self) {
        if let Some((since, drain)) = &mut self.drain {
            for slot in drain.due(since.elapsed()) {
                self.end(slot, Ending::Drain);
            }
        }
    }

    /// Nobody is waited for any more.
    fn cut_off(&mut self) {
        let open: Vec<u32> = self.slots.iter().map(|(slot, _)| slot as u32).collect();
        for slot in open {
            match self.slots.get(slot as usize).map(|slot| &slot.state) {
                Some(State::Open(_)) => self.end(slot, Ending::Reset),
                Some(State::Leaving(departure)) => departure.reset(),
                Some(State::Arriving(_) | State::Gone) | None => {}
            }
        }
    }

    /// Publishes what others see of this reactor.
    fn tell(&self) {
        let status = &self.statuses[self.number];
        status.beat.store(u64::from(self.now.0) * Tick::LENGTH.as_millis() as u64, Ordering::Relaxed);
        status.sockets.store(self.slots.len(), Ordering::Relaxed);
        status.clients.store(self.clients, Ordering::Relaxed);
        let drained = self.drain.as_ref().is_some_and(|(_, drain)| drain.is_over()) && self.slots.is_empty();
        status.drained.store(drained, Ordering::Relaxed);
    }

    /// How many sockets the other reactors hold.
    pub(super) fn peers_open(&self) -> usize {
        self.others().map(|status| status.sockets.load(Ordering::Relaxed)).sum()
    }

    /// How many of those are clients.
    pub(super) fn peers_clients(&self) -> usize {
        self.others().map(|status| status.clients.load(Ordering::Relaxed)).sum()
    }

    fn others(&self) -> impl Iterator<Item = &Arc<Status>> {
        self.statuses.iter().enumerate().filter(|(number, _)| *number != self.number).map(|(_, status)| status)
    }
}

/// Returns where it is remembered what clients missed, or `None` if they are not caught up.
fn records(shared: &Shared) -> Option<Box<dyn Records>> {
    let config = &shared.config;
    if !config.catch_up.enabled {
        return None;
    }
    Some(match &shared.roll {
        Some(roll) => Box::new(SharedRecords(roll.clone())),
        None => {
            let capacity = config.catch_up.users.div_ceil(config.reactors);
            Box::new(LocalRecords::new(config.catch_up.window, capacity))
        }
    })
}
