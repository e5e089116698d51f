//! Writes a push to the connections that it is for: to few at once, to many in chunks, one chunk a turn (`queue`), so that a push
//! to one user does not wait behind one to thousands.

mod queue;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::delivery::{Audience, Delivery};
use crate::notification::ClientType;
use crate::observability::Metrics;
use crate::reactor::DeliveryAck;
use crate::reactor::connections::Connections;
use crate::reactor::registry::Registry;
use crate::reactor::sockets::Sockets;
use crate::reactor::sockets::connection::Connection;
use crate::reactor::sockets::frame_writer::{WriteLimits, WriteOutcome};
use crate::signalr::{Hub, Tick};
use queue::{Chunk, FAN_OUT_CHUNK, FanOutQueue};

/// The pushes of one reactor. Belongs to the reactor's thread.
pub(super) struct FanOut {
    metrics: Arc<Metrics>,
    /// Pushes to many connections that are being written.
    queue: FanOutQueue,
    heartbeat: Arc<Delivery>,
    /// How many ticks are between two heartbeats.
    heartbeat_interval: u32,
    next_heartbeat: Tick,
}

/// Writes one delivery to connections, one after the other.
struct Writer<'a> {
    delivery: &'a Delivery,
    wanted: ClientType,
    now: Tick,
    write_limits: WriteLimits,
    /// How many connections it was written to.
    written: usize,
    /// Outcomes other than [`WriteOutcome::Written`], to handle afterwards.
    deferred_outcomes: Vec<(u32, WriteOutcome)>,
}

impl<'a> Writer<'a> {
    fn new(delivery: &'a Delivery, now: Tick, write_limits: WriteLimits) -> Writer<'a> {
        let wanted = delivery.audience.client_type();
        Writer { delivery, wanted, now, write_limits, written: 0, deferred_outcomes: Vec::new() }
    }

    fn write(&mut self, slot: u32, connection: &mut Connection) {
        if self.wanted == ClientType::All || self.wanted == connection.client_type {
            match connection.deliver(self.delivery, self.now, &self.write_limits) {
                Some(WriteOutcome::Written) => self.written += 1,
                Some(other) => self.deferred_outcomes.push((slot, other)),
                None => {}
            }
        }
    }
}

impl FanOut {
    /// Creates an empty queue. A heartbeat is sent to all connections of the main hub once in an interval.
    pub(super) fn new(metrics: Arc<Metrics>, heartbeat_interval: Duration, now: Tick) -> FanOut {
        let heartbeat_interval = Tick::ticks_in(heartbeat_interval);
        FanOut {
            metrics,
            queue: FanOutQueue::default(),
            heartbeat: Arc::new(Delivery::heartbeat()),
            heartbeat_interval,
            next_heartbeat: now.after(heartbeat_interval),
        }
    }

    /// Returns whether no push is being written.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes a push to this reactor's connections of its audience, or queues a fan-out.
    pub(super) fn deliver(
        &mut self,
        connections: &mut Connections,
        sockets: &mut Sockets,
        delivery: &Arc<Delivery>,
        ack: Arc<DeliveryAck>,
    ) {
        connections.catch_up().on_push(delivery, sockets.now);
        let registry = connections.registry();
        let is_to_many = match delivery.audience {
            Audience::None | Audience::User(..) | Audience::LoginRequest(_) => false,
            // Behind what is under way, so that pushes to an organization stay in order.
            Audience::Organization(organization, _) => {
                registry.slots_of_organization(organization).len() > FAN_OUT_CHUNK || !self.queue.is_empty()
            }
            Audience::Installation(..) | Audience::All(_) => true,
        };
        if is_to_many {
            return self.queue.push(delivery.clone(), Some(ack));
        }
        let mut writer = Writer::new(delivery, sockets.now, connections.write_limits());
        let mut write = |slot: u32| {
            if let Some((_, connection)) = sockets.open_mut(slot) {
                writer.write(slot, connection);
            }
        };
        match delivery.audience {
            Audience::User(user, _) => registry.slots_of(Hub::Main, user).iter().for_each(|slot| write(*slot)),
            Audience::LoginRequest(request) => {
                registry.slots_of(Hub::Anonymous, request).iter().for_each(|slot| write(*slot));
            }
            Audience::Organization(organization, _) => registry.slots_of_organization(organization).for_each(write),
            Audience::None | Audience::Installation(..) | Audience::All(_) => {}
        }
        let (written, deferred_outcomes) = (writer.written, writer.deferred_outcomes);
        self.record_outcomes(connections, sockets, Some(&ack), written, deferred_outcomes);
        self.observe_latency(delivery);
    }

    /// Writes the next chunk of the queue.
    pub(super) fn run_chunk(&mut self, connections: &mut Connections, sockets: &mut Sockets) {
        let members = |audience| members(audience, connections.registry(), sockets);
        let Some(Chunk { delivery, ack, slots, generation, last }) =
            self.queue.next_chunk(sockets.latest_generation(), members)
        else {
            return;
        };
        let mut writer = Writer::new(&delivery, sockets.now, connections.write_limits());
        for slot in slots {
            if let Some(connection) = sockets.open_until(slot, generation) {
                writer.write(slot, connection);
            }
        }
        let (written, deferred_outcomes) = (writer.written, writer.deferred_outcomes);
        self.record_outcomes(connections, sockets, ack.as_deref(), written, deferred_outcomes);
        if last && ack.is_some() {
            self.observe_latency(&delivery);
        }
    }

    /// Queues the application's Heartbeat for all connections of the main hub, if it is due.
    pub(super) fn run_heartbeat(&mut self, now: Tick) {
        if now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = now.after(self.heartbeat_interval);
        self.queue.push(self.heartbeat.clone(), None);
    }

    /// Handles the outcomes of a delivery, and adds the reached connections to its ack.
    fn record_outcomes(
        &self,
        connections: &mut Connections,
        sockets: &mut Sockets,
        ack: Option<&DeliveryAck>,
        written: usize,
        deferred_outcomes: Vec<(u32, WriteOutcome)>,
    ) {
        let mut reached = written;
        for (slot, sent) in deferred_outcomes {
            reached += usize::from(matches!(sent, WriteOutcome::Queued | WriteOutcome::Coalesced));
            connections.handle_write_outcome(sockets, slot, sent);
        }
        if let Some(ack) = ack {
            self.metrics.frames_delivered.inc_by(reached as u64);
            ack.reached.fetch_add(reached, Ordering::Relaxed);
        }
    }

    fn observe_latency(&self, delivery: &Delivery) {
        self.metrics.delivery_duration_seconds.observe(delivery.since.elapsed().as_secs_f64());
    }
}

/// Returns the slots of an audience that needs a fan-out.
fn members(audience: Audience, registry: &Registry, sockets: &Sockets) -> Vec<u32> {
    let of_hub = |hub: Hub| {
        let open = sockets.iter_open().filter(|(_, connection)| connection.hub == hub);
        open.map(|(id, _)| id.slot).collect()
    };
    match audience {
        Audience::Organization(organization, _) => registry.slots_of_organization(organization).collect(),
        Audience::Installation(..) => of_hub(Hub::Main),
        Audience::All(hub) => of_hub(hub),
        Audience::None | Audience::User(..) | Audience::LoginRequest(_) => Vec::new(),
    }
}
