//! The devices, replicas and Redis of one run, and the events that move it on.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use notification_hub::catch_up::LookupRequest;
use notification_hub::signalr::{ConnectionId, Tick};

use super::redis::{Entry, Redis};
use super::replica::{Connection, FanOut, Frame, Replica};
use super::{AUDIENCE, DEVICE_COUNT, KEEP_ALIVE_INTERVAL, USER, device, timestamp};
use crate::choices::Choices;

/// What a device has read.
#[derive(Clone, Default)]
struct Progress {
    /// The pushes, by their numbers.
    pushes: BTreeSet<usize>,
    /// A `SyncVault` covers every push with a smaller number.
    synced: usize,
}

impl Progress {
    fn read(&mut self, frame: Frame) {
        match frame {
            Frame::Push(push) => _ = self.pushes.insert(push),
            Frame::Sync(pushes) => self.synced = pushes.max(self.synced),
        }
    }
}

/// Everything that takes part in a run.
pub(super) struct World {
    /// Whether the replicas share a Redis.
    has_backplane: bool,
    redis: Redis,
    replicas: Vec<Replica>,
    now: Tick,
    /// The generation of the last connection.
    generation: u32,
    /// The device that caused each push, or `None` if no device did.
    pushes: Vec<Option<u8>>,
    /// What each device has read. The replicas do not see it.
    progress: Vec<Progress>,
}

impl World {
    /// Creates a world of two replicas with a backplane, or of one replica without.
    pub(super) fn new(has_backplane: bool, now: Tick) -> World {
        World {
            has_backplane,
            redis: Redis::new(),
            replicas: (0..1 + u8::from(has_backplane)).map(|_| Replica::new(has_backplane)).collect(),
            now,
            generation: 0,
            pushes: Vec::new(),
            progress: vec![Progress::default(); usize::from(DEVICE_COUNT)],
        }
    }

    /// Performs one event.
    pub(super) fn step(&mut self, choices: &mut Choices<'_>) {
        let which = choices.byte();
        let (replica, pick) = (usize::from(which & 1) % self.replicas.len(), usize::from(which >> 1));
        match choices.below(40) {
            0..3 => self.now = self.now.after(u32::from(which % 8) + 1),
            3..5 => self.now = self.now.after(Tick::ticks_in(KEEP_ALIVE_INTERVAL) + 1),
            5..9 => self.connect(replica, (which >> 1) % DEVICE_COUNT),
            9..13 => self.accept(replica, (which >> 1) % (DEVICE_COUNT + 1), which >= 192),
            13..16 => self.read_some(replica, pick, usize::from(which % 4)),
            16..19 => self.receive(replica, pick),
            19..23 => self.disconnect(replica, pick, which >= 128),
            23 => self.fill_socket(replica, pick),
            24..26 => self.drain_socket(replica, pick),
            26..32 if self.has_backplane => self.run_redis(replica),
            32..35 if self.has_backplane => self.read_stream(replica),
            35..37 if self.has_backplane => self.read_answer(replica),
            37 if self.has_backplane => self.publish_to_others(),
            _ => self.run_turn(replica),
        }
        self.queue_recorded();
    }

    /// Runs a turn of a reactor: writes one frame of the first fan-out and every sync that is due.
    fn run_turn(&mut self, number: usize) {
        let (now, pushes) = (self.now, self.pushes.len());
        let replica = &mut self.replicas[number];
        if let Some(first) = replica.fan_outs.front_mut() {
            let push = first.push;
            match first.remaining.pop() {
                Some(id) => replica.write(id, Frame::Push(push), now),
                None => _ = replica.fan_outs.pop_front(),
            }
        }
        if !self.has_backplane && replica.fan_outs.is_empty() {
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

    /// Opens a connection of a device. Its missed-push lookup begins.
    fn connect(&mut self, number: usize, name: u8) {
        self.generation += 1;
        let replica = &mut self.replicas[number];
        // Slots are reused. Only the generation distinguishes their connections.
        let id = ConnectionId { slot: replica.connections.len() as u32, generation: self.generation };
        let received = replica.received_elsewhere(name, id);
        replica.connections.push(Connection {
            id,
            device: name,
            unread: VecDeque::new(),
            waiting: None,
            last_heard: self.now,
            unsubscribed: self.has_backplane,
        });
        let client = LookupRequest { user: USER, organizations: &[], device: Some(device(name)), received };
        replica.catch_up.on_join(id, &client, self.now, timestamp(self.now));
    }

    /// Accepts a push at a replica, delivers it there and queues it for Redis.
    fn accept(&mut self, number: usize, by: u8, to_many: bool) {
        let push = self.pushes.len();
        self.pushes.push((by < DEVICE_COUNT).then_some(by));
        self.deliver(number, push, to_many);
        if self.has_backplane {
            self.replicas[number].entries.push_back(Entry::Publish { push });
        }
    }

    /// Writes a push to every connection of a replica: at once, or as a fan-out over several turns.
    fn deliver(&mut self, number: usize, push: usize, to_many: bool) {
        let replica = &mut self.replicas[number];
        replica.catch_up.on_push(AUDIENCE, self.pushes[push].map(device), timestamp(self.now));
        let ids: Vec<ConnectionId> = replica.connections.iter().map(|connection| connection.id).collect();
        if to_many || !replica.fan_outs.is_empty() {
            replica.fan_outs.push_back(FanOut { push, remaining: ids });
        } else {
            ids.into_iter().for_each(|id| replica.write(id, Frame::Push(push), self.now));
        }
    }

    /// Makes a client read at most `count` frames.
    fn read_some(&mut self, number: usize, pick: usize, count: usize) {
        let Some(connection) = self.replicas[number].pick(pick) else { return };
        for _ in 0..count {
            let Some((_, frame)) = connection.unread.pop_front() else { return };
            self.progress[usize::from(connection.device)].read(frame);
        }
    }

    /// Receives something from a client, which has read every frame that was written a keep-alive interval before.
    fn receive(&mut self, number: usize, pick: usize) {
        let now = self.now;
        let Some(connection) = self.replicas[number].pick(pick) else { return };
        // A reactor does not read from a client while its socket is full.
        if connection.waiting.is_some() {
            return;
        }
        let by = now.0.checked_sub(Tick::ticks_in(KEEP_ALIVE_INTERVAL)).map(Tick);
        while let Some((_, frame)) = connection.unread.front().copied().filter(|(at, _)| Some(*at) <= by) {
            self.progress[usize::from(connection.device)].read(frame);
            connection.unread.pop_front();
        }
        connection.last_heard = now;
    }

    /// Ends a connection, cleanly or by a cut. The client reads none of the frames that are left.
    fn disconnect(&mut self, number: usize, pick: usize, clean: bool) {
        if clean {
            self.receive(number, pick);
        }
        let now = self.now;
        let replica = &mut self.replicas[number];
        let Some(id) = replica.pick(pick).map(|connection| connection.id) else { return };
        let place =
            replica.connections.iter().position(|connection| connection.id == id).expect("the picked connection");
        let ended = replica.connections.swap_remove(place);
        let client = Some((USER, device(ended.device)));
        replica.catch_up.on_leave(ended.id, client, ended.last_heard, || timestamp(now));
    }

    /// Fills a socket. Later frames wait.
    fn fill_socket(&mut self, number: usize, pick: usize) {
        if let Some(connection) = self.replicas[number].pick(pick) {
            connection.waiting.get_or_insert_default();
        }
    }

    /// Makes room in a socket and writes the frames that wait.
    fn drain_socket(&mut self, number: usize, pick: usize) {
        let now = self.now;
        let replica = &mut self.replicas[number];
        let Some(connection) = replica.pick(pick) else { return };
        if let Some(waiting) = connection.waiting.take() {
            connection.unread.extend(waiting.into_iter().map(|frame| (now, frame)));
            let id = connection.id;
            replica.catch_up.on_drained(id, now);
        }
    }

    /// Queues the progress that was recorded in a step behind earlier operations.
    fn queue_recorded(&mut self) {
        self.replicas.iter_mut().for_each(Replica::queue_recorded);
    }

    /// Carries out the next operation of a replica at Redis. Subscriptions come first, each followed by a lookup.
    fn run_redis(&mut self, number: usize) {
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
                let stamp = self.redis.publish(self.pushes[push].map(device));
                for (other, replica) in self.replicas.iter_mut().enumerate() {
                    // A replica subscribes to the user's channel while it has connections of the user.
                    if replica.connections.iter().any(|connection| !connection.unsubscribed) {
                        replica.stream.push_back((stamp, Some(push).filter(|_| other != number)));
                    }
                }
            }
            Some(Entry::Lookup { id, device: name, received }) => {
                let answer = self.redis.look_up(device(name), received);
                replica.answers.push_back((id, answer));
            }
            Some(Entry::Received { device, until }) => self.redis.record_received(device, until),
        }
    }

    /// Publishes a push to another user. Every replica has clients of that user.
    fn publish_to_others(&mut self) {
        let stamp = self.redis.tick();
        self.replicas.iter_mut().for_each(|replica| replica.stream.push_back((stamp, None)));
    }

    /// Makes a replica read the next published message.
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

    /// Makes a replica read the next result of a lookup.
    fn read_answer(&mut self, number: usize) {
        let replica = &mut self.replicas[number];
        if let Some((id, answer)) = replica.answers.pop_front() {
            replica.catch_up.on_lookup_result(id, USER, answer, self.now);
        }
    }

    /// Carries out everything that is queued, published or unsubscribed.
    fn settle(&mut self) {
        for _ in 0..3 {
            for number in 0..self.replicas.len() {
                while self.replicas[number].is_busy() {
                    self.run_redis(number);
                    self.read_stream(number);
                    self.read_answer(number);
                    self.run_turn(number);
                    self.queue_recorded();
                }
            }
        }
    }

    /// Ends every connection. Then each device reconnects and stays until it has read every frame that it is sent.
    pub(super) fn reconnect_all(&mut self) {
        for number in 0..self.replicas.len() {
            while !self.replicas[number].connections.is_empty() {
                self.disconnect(number, 0, false);
            }
        }
        self.queue_recorded();
        self.settle();
        for name in 0..DEVICE_COUNT {
            self.connect(usize::from(name) % self.replicas.len(), name);
        }
        self.settle();
        self.now = self.now.after(Tick::ticks_in(KEEP_ALIVE_INTERVAL * 2 + Duration::from_secs(2)));
        self.settle();
        for number in 0..self.replicas.len() {
            self.run_turn(number);
            for place in 0..self.replicas[number].connections.len() {
                self.read_some(number, place, usize::MAX);
            }
        }
    }

    /// Panics if a device has read neither a push of another device nor a later `SyncVault`.
    pub(super) fn assert_nothing_lost(&self) {
        for (name, progress) in self.progress.iter().enumerate() {
            for (push, by) in self.pushes.iter().enumerate() {
                let is_own = by.is_some_and(|by| usize::from(by) == name);
                let has_read = push < progress.synced || progress.pushes.contains(&push);
                assert!(is_own || has_read, "device {name} lost push {push}");
            }
        }
    }
}
