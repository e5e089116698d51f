//! Writes pushes to connections: to a few at once, to many in chunks of one per turn, so that a push to one user does not wait
//! behind one to thousands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slab::Slab;

use super::queue::{Chunk, FAN_OUT_CHUNK};
use crate::delivery::{Audience, Delivery};
use crate::notification::ClientType;
use crate::reactor::DeliveryAck;
use crate::reactor::connections::connection::{WriteLimits, WriteOutcome};
use crate::reactor::connections::registry::Registry;
use crate::reactor::connections::slot::{Slot, State};
use crate::reactor::event_loop::Reactor;
use crate::signalr::Hub;
use crate::signalr::Tick;

/// Writes one delivery to connections, one after the other.
struct Writer<'a> {
    delivery: &'a Delivery,
    wanted: ClientType,
    slots: &'a mut Slab<Slot>,
    now: Tick,
    write_limits: WriteLimits,
    /// How many connections it was written to.
    written: usize,
    /// Outcomes other than [`WriteOutcome::Written`], to handle afterwards.
    deferred_outcomes: Vec<(u32, WriteOutcome)>,
}

impl<'a> Writer<'a> {
    fn new(delivery: &'a Delivery, slots: &'a mut Slab<Slot>, now: Tick, write_limits: WriteLimits) -> Writer<'a> {
        let wanted = delivery.audience.client_type();
        Writer { delivery, wanted, slots, now, write_limits, written: 0, deferred_outcomes: Vec::new() }
    }

    fn write(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
        if self.wanted == ClientType::All || self.wanted == connection.client_type() {
            match connection.deliver(self.delivery, self.now, &self.write_limits) {
                Some(WriteOutcome::Written) => self.written += 1,
                Some(other) => self.deferred_outcomes.push((slot, other)),
                None => {}
            }
        }
    }
}

impl Reactor {
    /// Writes a push to this reactor's connections of its audience, or queues a fan-out.
    pub(crate) fn deliver(&mut self, delivery: &Arc<Delivery>, ack: Arc<DeliveryAck>) {
        self.record_push(delivery);
        let is_to_many = match delivery.audience {
            Audience::None | Audience::User(..) | Audience::LoginRequest(_) => false,
            // Behind what is under way, so that pushes to an organization stay in order.
            Audience::Organization(organization, _) => {
                self.registry.slots_of_organization(organization).len() > FAN_OUT_CHUNK || !self.fan_outs.is_empty()
            }
            Audience::Installation(..) | Audience::All(_) => true,
        };
        if is_to_many {
            return self.fan_outs.push(delivery.clone(), Some(ack));
        }
        let mut writer = Writer::new(delivery, &mut self.slots, self.now, self.write_limits);
        match delivery.audience {
            Audience::User(user, _) => {
                self.registry.slots_of(Hub::Main, user).iter().for_each(|slot| writer.write(*slot));
            }
            Audience::LoginRequest(request) => {
                self.registry.slots_of(Hub::Anonymous, request).iter().for_each(|slot| writer.write(*slot));
            }
            Audience::Organization(organization, _) => {
                self.registry.slots_of_organization(organization).for_each(|slot| writer.write(slot));
            }
            Audience::None | Audience::Installation(..) | Audience::All(_) => {}
        }
        let (written, deferred_outcomes) = (writer.written, writer.deferred_outcomes);
        self.record_outcomes(Some(&ack), written, deferred_outcomes);
        self.observe_latency(delivery);
    }

    /// Writes the next chunk of the fan-out queue.
    pub(crate) fn run_fan_out_chunk(&mut self) {
        let members = |audience| members(audience, &self.registry, &self.slots);
        let Some(Chunk { delivery, ack, slots, generation, last }) = self.fan_outs.next_chunk(self.generation, members)
        else {
            return;
        };
        let mut writer = Writer::new(&delivery, &mut self.slots, self.now, self.write_limits);
        for slot in slots {
            if writer.slots.get(slot as usize).is_some_and(|entry| entry.is_as_old_as(generation)) {
                writer.write(slot);
            }
        }
        let (written, deferred_outcomes) = (writer.written, writer.deferred_outcomes);
        self.record_outcomes(ack.as_deref(), written, deferred_outcomes);
        if last && ack.is_some() {
            self.observe_latency(&delivery);
        }
    }

    /// Sends the application's Heartbeat to all connections of the main hub, if it is due.
    pub(crate) fn send_heartbeats(&mut self) {
        if self.now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = self.now.after(Tick::ticks_in(self.shared.config.heartbeat));
        self.fan_outs.push(self.heartbeat.clone(), None);
    }

    /// Handles the outcomes of a delivery, and adds the reached connections to its ack.
    fn record_outcomes(
        &mut self,
        ack: Option<&DeliveryAck>,
        written: usize,
        deferred_outcomes: Vec<(u32, WriteOutcome)>,
    ) {
        let mut reached = written;
        for (slot, sent) in deferred_outcomes {
            reached += usize::from(matches!(sent, WriteOutcome::Queued | WriteOutcome::Coalesced));
            self.handle_write_outcome(slot, sent);
        }
        if let Some(ack) = ack {
            self.shared.metrics.deliveries.inc_by(reached as u64);
            ack.reached.fetch_add(reached, Ordering::Relaxed);
        }
    }

    fn observe_latency(&self, delivery: &Delivery) {
        self.shared.metrics.delivery_seconds.observe(delivery.since.elapsed().as_secs_f64());
    }
}

/// Returns the slots of an audience that needs a fan-out.
fn members(audience: Audience, registry: &Registry, slots: &Slab<Slot>) -> Vec<u32> {
    let of_hub = |hub: Hub| {
        let open = slots.iter().filter(move |(_, slot)| match &slot.state {
            State::Open(connection) => connection.hub() == hub,
            _ => false,
        });
        open.map(|(slot, _)| slot as u32).collect()
    };
    match audience {
        Audience::Organization(organization, _) => registry.slots_of_organization(organization).collect(),
        Audience::Installation(..) => of_hub(Hub::Main),
        Audience::All(hub) => of_hub(hub),
        Audience::None | Audience::User(..) | Audience::LoginRequest(_) => Vec::new(),
    }
}
