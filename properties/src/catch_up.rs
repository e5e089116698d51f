//! No covered push is lost: the rule of catch-up in a small world, in whatever order things happen.
//!
//! The world has one user with three devices and one or two replicas, each with one reactor. Pushes are written at once or a part
//! a turn, sockets fill up, clients read late and leave in every way, and with two replicas everything that goes through Redis
//! takes its time. What a device read is known to the world alone. At the end every device comes back and stays: by then it has
//! read every push that another device caused, or a `SyncVault` that was written after that push was accepted.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notification_hub::catch_up::{
    CatchUp, LastPushes, LocalRecords, LookupRequest, LookupResult, Records, Timestamp, missed,
};
use notification_hub::delivery::Audience;
use notification_hub::notification::{ClientType, Device};
use notification_hub::signalr::{ConnectionId, Tick};
use uuid::Uuid;

use crate::choices::Choices;

const USER: Uuid = Uuid::from_u128(1);
const AUDIENCE: Audience = Audience::User(USER, ClientType::All);
const DEVICES: u8 = 3;

/// The keep-alive interval. A client that is heard has read everything that was written so long before.
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Longer than any run: nothing is forgotten.
const WINDOW: Duration = Duration::from_secs(1 << 16);

/// Behind the first window: what there was before the records began is known.
const LATER: Tick = Tick(1 << 20);

/// What is done at the most, before every device comes back.
const MAX_STEPS: usize = 400;

fn device(number: u8) -> Device {
    Device::from_id(&number.to_string())
}

fn timestamp(now: Tick) -> Timestamp {
    Timestamp::default().after(Tick::LENGTH * now.0)
}

/// A frame for a client.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Push(usize),
    /// A `SyncVault` that is handed over when so many pushes were accepted.
    Sync(usize),
}

/// A connection, as the world sees it.
struct Connection {
    id: ConnectionId,
    device: u8,
    /// Written to the socket, with the tick, and not read by the client yet.
    unread: VecDeque<(Tick, Frame)>,
    /// Behind a full socket, as long as that is full.
    waiting: Option<VecDeque<Frame>>,
    last_heard: Tick,
    /// With a backplane: its pushes are not subscribed to yet.
    unsubscribed: bool,
}

/// A push under way to some connections of a replica.
struct FanOut {
    push: usize,
    left: Vec<ConnectionId>,
}

/// Something that waits for Redis.
enum Entry {
    Publish { push: usize },
    Lookup { id: ConnectionId, device: u8, received: Option<Timestamp> },
    Received { device: Device, until: Timestamp },
}

/// A process.
struct Replica {
    catch_up: CatchUp,
    connections: Vec<Connection>,
    fan_outs: VecDeque<FanOut>,
    /// With a backplane: what waits for Redis, in order.
    entries: VecDeque<Entry>,
    /// What `CatchUp` noted in this step, on its way to the entries.
    received: Arc<Mutex<Vec<(Device, Timestamp)>>>,
    /// What Redis has published and this replica has not read: the stamp, and the push unless it is its own or for others.
    stream: VecDeque<(Timestamp, Option<usize>)>,
    answers: VecDeque<(ConnectionId, LookupResult)>,
}

/// The records behind `CatchUp` where there is a Redis.
struct Shared(Arc<Mutex<Vec<(Device, Timestamp)>>>);

impl Records for Shared {
    fn on_push(&mut self, _: Audience, _: Option<Device>, _: Timestamp) -> usize {
        0
    }

    fn look_up(&mut self, _: &LookupRequest<'_>, _: Timestamp) -> Option<LookupResult> {
        None
    }

    fn on_received(&mut self, _: Uuid, device: Device, received: Timestamp, _: Timestamp) -> usize {
        self.0.lock().expect("one thread").push((device, received));
        0
    }
}

/// Redis: its clock stamps every push with a moment of its own.
#[derive(Default)]
struct Redis {
    clock: u64,
    pushes: LastPushes,
    received: HashMap<Device, Timestamp>,
}

struct World {
    shared: bool,
    redis: Redis,
    replicas: Vec<Replica>,
    now: Tick,
    generation: u32,
    /// The device that caused each push, if one did.
    pushes: Vec<Option<u8>>,
    /// The pushes that each device has read, and up to which it has synced.
    read: Vec<(BTreeSet<usize>, usize)>,
}

impl World {
    fn new(shared: bool, now: Tick) -> World {
        let replica = |_| {
            let received = Arc::new(Mutex::new(Vec::new()));
            let records: Box<dyn Records> = match shared {
                true => Box::new(Shared(received.clone())),
                false => Box::new(LocalRecords::new(WINDOW, 100)),
            };
            Replica {
                catch_up: CatchUp::new(Some(records), KEEP_ALIVE, KEEP_ALIVE),
                connections: Vec::new(),
                fan_outs: VecDeque::new(),
                entries: VecDeque::new(),
                received,
                stream: VecDeque::new(),
                answers: VecDeque::new(),
            }
        };
        World {
            shared,
            redis: Redis { clock: 1, ..Redis::default() },
            replicas: (0..1 + u8::from(shared)).map(replica).collect(),
            now,
            generation: 0,
            pushes: Vec::new(),
            read: vec![(BTreeSet::new(), 0); usize::from(DEVICES)],
        }
    }

    /// One thing happens.
    fn step(&mut self, choices: &mut Choices<'_>) {
        let which = choices.byte();
        let (replica, pick) = (usize::from(which & 1) % self.replicas.len(), usize::from(which >> 1));
        match choices.below(40) {
            0..3 => self.now = self.now.after(u32::from(which % 8) + 1),
            3..5 => self.now = self.now.after(Tick::ticks_in(KEEP_ALIVE) + 1),
            5..9 => self.connect(replica, (which >> 1) % DEVICES),
            9..13 => self.accept(replica, (which >> 1) % (DEVICES + 1), which >= 192),
            13..16 => self.read_some(replica, pick, usize::from(which % 4)),
            16..19 => self.hear(replica, pick),
            19..23 => self.leave(replica, pick, which >= 128),
            23 => self.fill(replica, pick),
            24..26 => self.drain(replica, pick),
            26..32 if self.shared => self.work_at_redis(replica),
            32..35 if self.shared => self.read_stream(replica),
            35..37 if self.shared => self.read_answer(replica),
            37 if self.shared => self.publish_to_others(),
            _ => self.turn(replica),
        }
        self.queue_received();
    }

    /// A turn of a reactor: a part of what is under way, and what is due.
    fn turn(&mut self, number: usize) {
        let (now, pushes) = (self.now, self.pushes.len());
        let replica = &mut self.replicas[number];
        if let Some(first) = replica.fan_outs.front_mut() {
            let push = first.push;
            match first.left.pop() {
                Some(id) => replica.write(id, Frame::Push(push), now),
                None => _ = replica.fan_outs.pop_front(),
            }
        }
        if !self.shared && replica.fan_outs.is_empty() {
            replica.catch_up.on_all_written(timestamp(now));
        }
        while let Some((id, _)) = replica.catch_up.take_due_sync(now) {
            replica.write(id, Frame::Sync(pushes), now);
        }
        let connections = &replica.connections;
        let client = |id| {
            let connection = connections.iter().find(|connection| connection.id == id)?;
            Some((Some((USER, device(connection.device))), connection.last_heard))
        };
        replica.catch_up.run_checks(now, timestamp(now), client);
    }

    fn connect(&mut self, number: usize, name: u8) {
        self.generation += 1;
        let replica = &mut self.replicas[number];
        // Slots are used again: only the generation tells their connections apart.
        let id = ConnectionId { slot: replica.connections.len() as u32, generation: self.generation };
        let received = replica.received_elsewhere(name, id);
        replica.connections.push(Connection {
            id,
            device: name,
            unread: VecDeque::new(),
            waiting: None,
            last_heard: self.now,
            unsubscribed: self.shared,
        });
        let client = LookupRequest { user: USER, organizations: &[], device: Some(device(name)), received };
        replica.catch_up.on_join(id, &client, self.now, timestamp(self.now));
    }

    /// A push is accepted at a replica, and written to those who are there: at once, or a part a turn.
    fn accept(&mut self, number: usize, by: u8, to_many: bool) {
        let push = self.pushes.len();
        self.pushes.push((by < DEVICES).then_some(by));
        self.deliver(number, push, to_many);
        if self.shared {
            self.replicas[number].entries.push_back(Entry::Publish { push });
        }
    }

    fn deliver(&mut self, number: usize, push: usize, to_many: bool) {
        let replica = &mut self.replicas[number];
        replica.catch_up.on_push(AUDIENCE, self.pushes[push].map(device), timestamp(self.now));
        let ids: Vec<ConnectionId> = replica.connections.iter().map(|connection| connection.id).collect();
        if to_many || !replica.fan_outs.is_empty() {
            replica.fan_outs.push_back(FanOut { push, left: ids });
        } else {
            ids.into_iter().for_each(|id| replica.write(id, Frame::Push(push), self.now));
        }
    }

    fn read_some(&mut self, number: usize, pick: usize, count: usize) {
        let Some(connection) = self.replicas[number].pick(pick) else { return };
        for _ in 0..count {
            let Some((_, frame)) = connection.unread.pop_front() else { return };
            took(&mut self.read[usize::from(connection.device)], frame);
        }
    }

    /// The hub hears something from a client, which has read what was written a keep-alive interval before.
    fn hear(&mut self, number: usize, pick: usize) {
        let now = self.now;
        let Some(connection) = self.replicas[number].pick(pick) else { return };
        // Of a client whose socket is full nothing is read.
        if connection.waiting.is_some() {
            return;
        }
        let by = now.0.checked_sub(Tick::ticks_in(KEEP_ALIVE)).map(Tick);
        while let Some((written, frame)) = connection.unread.front().copied().filter(|(at, _)| Some(*at) <= by) {
            let _ = written;
            took(&mut self.read[usize::from(connection.device)], frame);
            connection.unread.pop_front();
        }
        connection.last_heard = now;
    }

    /// A connection ends: cleanly, or cut. What was not read is gone.
    fn leave(&mut self, number: usize, pick: usize, clean: bool) {
        if clean {
            self.hear(number, pick);
        }
        let now = self.now;
        let replica = &mut self.replicas[number];
        let Some(id) = replica.pick(pick).map(|connection| connection.id) else { return };
        let place = replica.connections.iter().position(|connection| connection.id == id).expect("it is there");
        let gone = replica.connections.swap_remove(place);
        let known = Some((USER, device(gone.device)));
        replica.catch_up.on_leave(gone.id, known, gone.last_heard, timestamp(now));
    }

    /// A socket is full from now on.
    fn fill(&mut self, number: usize, pick: usize) {
        if let Some(connection) = self.replicas[number].pick(pick) {
            connection.waiting.get_or_insert_default();
        }
    }

    /// A socket takes bytes again.
    fn drain(&mut self, number: usize, pick: usize) {
        let now = self.now;
        let replica = &mut self.replicas[number];
        let Some(connection) = replica.pick(pick) else { return };
        if let Some(waiting) = connection.waiting.take() {
            connection.unread.extend(waiting.into_iter().map(|frame| (now, frame)));
            let id = connection.id;
            replica.catch_up.on_drained(id, now);
        }
    }

    /// What was noted in a step waits behind what waited before.
    fn queue_received(&mut self) {
        for replica in &mut self.replicas {
            let noted = std::mem::take(&mut *replica.received.lock().expect("one thread"));
            replica.entries.extend(noted.into_iter().map(|(device, until)| Entry::Received { device, until }));
        }
    }

    /// Redis does the next thing that a replica wants: first of all it subscribes.
    fn work_at_redis(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if let Some(connection) = replica.connections.iter_mut().find(|connection| connection.unsubscribed) {
            connection.unsubscribed = false;
            let (id, device) = (connection.id, connection.device);
            let received = replica.received_elsewhere(device, id);
            replica.entries.push_back(Entry::Lookup { id, device, received });
            return;
        }
        match replica.entries.pop_front() {
            None => {}
            Some(Entry::Publish { push }) => {
                self.redis.clock += 1;
                let stamp = Timestamp(self.redis.clock);
                self.redis.pushes.record(self.pushes[push].map(device), stamp);
                for (other, replica) in self.replicas.iter_mut().enumerate() {
                    // Only who is subscribed to hears it.
                    if replica.connections.iter().any(|connection| !connection.unsubscribed) {
                        replica.stream.push_back((stamp, Some(push).filter(|_| other != number)));
                    }
                }
            }
            Some(Entry::Lookup { id, device: name, received }) => {
                self.redis.clock += 1;
                let recorded = self.redis.received.get(&device(name)).copied();
                let known = recorded.max(received);
                let pushes = Some(&self.redis.pushes).filter(|pushes| pushes.last > Timestamp(0));
                let reason = missed(Some(device(name)), known, pushes.into_iter(), false);
                let answer = LookupResult { reason, until: Timestamp(self.redis.clock) };
                self.replicas[number].answers.push_back((id, answer));
            }
            Some(Entry::Received { device, until }) => {
                let noted = self.redis.received.entry(device).or_default();
                *noted = until.max(*noted);
            }
        }
    }

    /// A push to another user is published, which every replica listens for.
    fn publish_to_others(&mut self) {
        self.redis.clock += 1;
        let stamp = Timestamp(self.redis.clock);
        self.replicas.iter_mut().for_each(|replica| replica.stream.push_back((stamp, None)));
    }

    /// A replica reads what Redis published next.
    fn read_stream(&mut self, number: usize) {
        let Some((stamp, push)) = self.replicas[number].stream.pop_front() else { return };
        if let Some(push) = push {
            self.deliver(number, push, false);
        }
        let replica = &mut self.replicas[number];
        if replica.fan_outs.is_empty() {
            replica.catch_up.on_written(timestamp(self.now), stamp);
        }
    }

    fn read_answer(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if let Some((id, answer)) = replica.answers.pop_front() {
            replica.catch_up.on_lookup_result(id, USER, answer, self.now);
        }
    }

    /// Lets everything that is under way happen.
    fn settle(&mut self) {
        for _ in 0..3 {
            for number in 0..self.replicas.len() {
                while self.replicas[number].is_busy() {
                    self.work_at_redis(number);
                    self.read_stream(number);
                    self.read_answer(number);
                    self.turn(number);
                    self.queue_received();
                }
            }
        }
    }

    /// Every connection ends, and every device comes back and stays until it has read what it is sent.
    fn come_back(&mut self) {
        for number in 0..self.replicas.len() {
            while !self.replicas[number].connections.is_empty() {
                self.leave(number, 0, false);
            }
        }
        self.queue_received();
        self.settle();
        for name in 0..DEVICES {
            self.connect(usize::from(name) % self.replicas.len(), name);
        }
        self.settle();
        self.now = self.now.after(Tick::ticks_in(KEEP_ALIVE * 2 + Duration::from_secs(2)));
        self.settle();
        for number in 0..self.replicas.len() {
            self.turn(number);
            for place in 0..self.replicas[number].connections.len() {
                self.read_some(number, place, usize::MAX);
            }
        }
    }

    fn nothing_is_lost(&self) {
        for (name, (read, synced)) in self.read.iter().enumerate() {
            for (push, by) in self.pushes.iter().enumerate() {
                let is_own = by.is_some_and(|by| usize::from(by) == name);
                assert!(is_own || push < *synced || read.contains(&push), "device {name} lost push {push}");
            }
        }
    }
}

impl Replica {
    fn pick(&mut self, pick: usize) -> Option<&mut Connection> {
        let count = self.connections.len();
        self.connections.get_mut(pick % count.max(1))
    }

    fn is_busy(&self) -> bool {
        let under_way = !self.fan_outs.is_empty() || !self.entries.is_empty() || !self.stream.is_empty();
        under_way || !self.answers.is_empty() || self.connections.iter().any(|connection| connection.unsubscribed)
    }

    /// Writes a frame to a connection, unless it has gone, or has it wait.
    fn write(&mut self, id: ConnectionId, frame: Frame, now: Tick) {
        let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) else { return };
        match &mut connection.waiting {
            Some(waiting) => {
                waiting.push_back(frame);
                self.catch_up.on_backlog(id, now);
            }
            None => connection.unread.push_back((now, frame)),
        }
    }

    fn received_elsewhere(&self, device: u8, id: ConnectionId) -> Option<Timestamp> {
        let same = self.connections.iter().filter(|connection| connection.device == device && connection.id != id);
        same.filter_map(|connection| self.catch_up.received(connection.id, connection.last_heard)).max()
    }
}

/// A device reads a frame.
fn took((read, synced): &mut (BTreeSet<usize>, usize), frame: Frame) {
    match frame {
        Frame::Push(push) => _ = read.insert(push),
        Frame::Sync(pushes) => *synced = pushes.max(*synced),
    }
}

/// Panics if a covered push is lost.
pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let start = if choices.below(2) == 1 { LATER } else { Tick(0) };
    let mut world = World::new(choices.below(2) == 1, start);
    for _ in 0..MAX_STEPS {
        if choices.0.is_empty() {
            break;
        }
        world.step(&mut choices);
    }
    world.come_back();
    world.nothing_is_lost();
}
