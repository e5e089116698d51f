//! How a reactor writes pushes to its clients: to a few at once, to many a part a turn, so that a push to one user does not wait
//! behind one to thousands.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use slab::Slab;

use super::Receipt;
use super::connection::{Patience, Sent};
use super::event_loop::Reactor;
use super::fan_out::{PART, Part};
use super::registry::Registry;
use super::slot::{Slot, State};
use crate::connection::{ConnectionId, Tick};
use crate::delivery::{Audience, Delivery, Hub};
use crate::notification::ClientType;

/// Writes one delivery to clients, one after the other.
struct Writer<'a> {
    delivery: &'a Delivery,
    wanted: ClientType,
    slots: &'a mut Slab<Slot>,
    now: Tick,
    patience: Patience,
    /// How many it was written to.
    written: usize,
    /// Clients to which it could not just be written.
    odd: Vec<(u32, Sent)>,
}

impl<'a> Writer<'a> {
    fn new(delivery: &'a Delivery, slots: &'a mut Slab<Slot>, now: Tick, patience: Patience) -> Writer<'a> {
        let wanted = delivery.audience.client_type();
        Writer { delivery, wanted, slots, now, patience, written: 0, odd: Vec::new() }
    }

    fn write(&mut self, slot: u32) {
        let Some(Slot { state: State::Open(connection), .. }) = self.slots.get_mut(slot as usize) else { return };
        if self.wanted == ClientType::All || self.wanted == connection.client_type() {
            match connection.deliver(self.delivery, self.now, &self.patience) {
                Some(Sent::Written) => self.written += 1,
                Some(other) => self.odd.push((slot, other)),
                None => {}
            }
        }
    }
}

impl Reactor {
    /// Writes a push to those of this reactor's clients that it is for, or begins to.
    pub(super) fn deliver(&mut self, delivery: &Arc<Delivery>, receipt: Arc<Receipt>) {
        self.remember(delivery);
        let is_to_many = match delivery.audience {
            Audience::Nobody | Audience::User(..) | Audience::LoginRequest(_) => false,
            // Behind what is under way, so that pushes to an organization stay in order.
            Audience::Organization(organization, _) => {
                self.registry.organization(organization).len() > PART || !self.fan_outs.is_empty()
            }
            Audience::Installation(..) | Audience::Everyone(_) => true,
        };
        if is_to_many {
            return self.fan_outs.add(delivery.clone(), Some(receipt));
        }
        let mut writer = Writer::new(delivery, &mut self.slots, self.now, self.patience);
        match delivery.audience {
            Audience::User(user, _) => {
                self.registry.id(Hub::Main, user).iter().for_each(|slot| writer.write(*slot));
            }
            Audience::LoginRequest(request) => {
                self.registry.id(Hub::Anonymous, request).iter().for_each(|slot| writer.write(*slot));
            }
            Audience::Organization(organization, _) => {
                self.registry.organization(organization).for_each(|slot| writer.write(slot));
            }
            Audience::Nobody | Audience::Installation(..) | Audience::Everyone(_) => {}
        }
        let (written, odd) = (writer.written, writer.odd);
        self.account(Some(&receipt), written, odd);
        self.observe(delivery);
    }

    /// Writes the next part of what is under way.
    pub(super) fn go_on_fanning_out(&mut self) {
        let members = |audience| members(audience, &self.registry, &self.slots);
        let Some(Part { delivery, receipt, connections, last }) = self.fan_outs.take(members) else { return };
        let mut writer = Writer::new(&delivery, &mut self.slots, self.now, self.patience);
        for ConnectionId { slot, generation } in connections {
            if writer.slots.get(slot as usize).is_some_and(|entry| entry.generation == generation) {
                writer.write(slot);
            }
        }
        let (written, odd) = (writer.written, writer.odd);
        self.account(receipt.as_deref(), written, odd);
        if last && receipt.is_some() {
            self.observe(&delivery);
        }
    }

    /// Sends the application's Heartbeat to everybody on the main hub; clients count it as a sign of life.
    pub(super) fn beat_hearts(&mut self) {
        if self.now < self.next_heartbeat {
            return;
        }
        self.next_heartbeat = self.now.after(Tick::count(self.shared.config.heartbeat));
        self.fan_outs.add(self.heartbeat.clone(), None);
    }

    /// Sees to what became of what was written, and counts it for who waits.
    fn account(&mut self, receipt: Option<&Receipt>, written: usize, odd: Vec<(u32, Sent)>) {
        let mut reached = written;
        for (slot, sent) in odd {
            reached += usize::from(matches!(sent, Sent::Queued | Sent::Collapsed));
            self.settle(slot, sent);
        }
        if let Some(receipt) = receipt {
            self.shared.metrics.deliveries.inc_by(reached as u64);
            receipt.reached.fetch_add(reached, Ordering::Relaxed);
        }
    }

    fn observe(&self, delivery: &Delivery) {
        self.shared.metrics.delivery_seconds.observe(delivery.since.elapsed().as_secs_f64());
    }
}

/// Returns the connections of an audience of many.
fn members(audience: Audience, registry: &Registry, slots: &Slab<Slot>) -> Vec<ConnectionId> {
    let id = |slot: u32| Some(ConnectionId { slot, generation: slots.get(slot as usize)?.generation });
    let of_hub = |hub: Hub| {
        let open = slots.iter().filter(move |(_, slot)| match &slot.state {
            State::Open(connection) => connection.hub() == hub,
            _ => false,
        });
        open.filter_map(|(slot, _)| id(slot as u32)).collect()
    };
    match audience {
        Audience::Organization(organization, _) => registry.organization(organization).filter_map(id).collect(),
        Audience::Installation(..) => of_hub(Hub::Main),
        Audience::Everyone(hub) => of_hub(hub),
        Audience::Nobody | Audience::User(..) | Audience::LoginRequest(_) => Vec::new(),
    }
}
