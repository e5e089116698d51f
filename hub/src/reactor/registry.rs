//! The registry of one reactor's connections: slots by user, by login request and by organization. No I/O.

use std::collections::hash_map::Entry;

use foldhash::HashMap;
use slab::Slab;
use uuid::Uuid;

use crate::signalr::Hub;

/// A connection's position among the members of an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    organization: u32,
    position: u32,
}

/// For how many members an organization has room at first.
const MIN_MEMBERS: usize = 4;

/// Slots by user, by login request and by organization.
#[derive(Default)]
pub(crate) struct Registry {
    /// For each hub: by user on the main hub, by login request on the anonymous hub.
    slots_by_id: [HashMap<Uuid, Slots>; 2],
    organization_index: HashMap<Uuid, u32>,
    organizations: Slab<Organization>,
}

struct Organization {
    id: Uuid,
    /// Each member's slot, and which of its memberships this is.
    members: Vec<OrganizationMember>,
}

#[derive(Clone, Copy)]
struct OrganizationMember {
    slot: u32,
    membership: u32,
}

/// The slots of one id. Most users have one connection, which needs no list.
enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Registry {
    /// Registers a slot under its id and its organizations (each once). The caller keeps the returned memberships up to date as
    /// [`Registry::deregister`] reports moves, and passes them to it in the end.
    pub(crate) fn register(
        &mut self,
        slot: u32,
        hub: Hub,
        id: Option<Uuid>,
        organizations: &[Uuid],
    ) -> Box<[Membership]> {
        if let Some(id) = id {
            match self.slots_by_id[hub as usize].entry(id) {
                Entry::Vacant(vacant) => _ = vacant.insert(Slots::One(slot)),
                Entry::Occupied(mut occupied) => occupied.get_mut().push(slot),
            }
        }
        let join = |(membership, id): (usize, &Uuid)| {
            let member = OrganizationMember { slot, membership: membership as u32 };
            match self.organization_index.entry(*id) {
                Entry::Vacant(vacant) => {
                    let mut members = Vec::with_capacity(MIN_MEMBERS);
                    members.push(member);
                    let organization = self.organizations.insert(Organization { id: *id, members }) as u32;
                    Membership { organization: *vacant.insert(organization), position: 0 }
                }
                Entry::Occupied(occupied) => {
                    let organization = *occupied.get();
                    let members = &mut self.organizations[organization as usize].members;
                    members.push(member);
                    Membership { organization, position: members.len() as u32 - 1 }
                }
            }
        };
        organizations.iter().enumerate().map(join).collect()
    }

    /// Removes a slot. The last member of each organization moves to its position: `on_moved` gets the slot and the number of that
    /// membership, and its new value.
    pub(crate) fn deregister(
        &mut self,
        slot: u32,
        hub: Hub,
        id: Option<Uuid>,
        memberships: &[Membership],
        mut on_moved: impl FnMut(u32, usize, Membership),
    ) {
        if let Some(Entry::Occupied(mut occupied)) = id.map(|id| self.slots_by_id[hub as usize].entry(id))
            && occupied.get_mut().remove(slot)
        {
            occupied.remove();
        }
        for membership in memberships {
            let organization = &mut self.organizations[membership.organization as usize];
            organization.members.swap_remove(membership.position as usize);
            if let Some(member) = organization.members.get(membership.position as usize) {
                on_moved(member.slot, member.membership as usize, *membership);
            } else if organization.members.is_empty() {
                self.organization_index.remove(&organization.id);
                self.organizations.remove(membership.organization as usize);
            }
        }
    }

    /// Returns the organizations of these memberships.
    pub(crate) fn organizations(&self, memberships: &[Membership]) -> Box<[Uuid]> {
        memberships.iter().map(|membership| self.organizations[membership.organization as usize].id).collect()
    }

    /// Returns the slots of a user or login request.
    pub(crate) fn slots_of(&self, hub: Hub, id: Uuid) -> &[u32] {
        match self.slots_by_id[hub as usize].get(&id) {
            None => &[],
            Some(Slots::One(slot)) => std::slice::from_ref(slot),
            Some(Slots::Many(slots)) => slots,
        }
    }

    /// Returns the slots of an organization's members.
    pub(crate) fn slots_of_organization(&self, organization: Uuid) -> impl ExactSizeIterator<Item = u32> + '_ {
        let number = self.organization_index.get(&organization);
        let members = number.map_or(&[][..], |number| &self.organizations[*number as usize].members);
        members.iter().map(|member| member.slot)
    }
}

impl Slots {
    fn push(&mut self, slot: u32) {
        match self {
            Slots::One(first) => *self = Slots::Many(vec![*first, slot]),
            Slots::Many(slots) => slots.push(slot),
        }
    }

    /// Removes a slot. Returns `true` if none is left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Slots::One(only) => *only == slot,
            Slots::Many(slots) => {
                slots.retain(|other| *other != slot);
                if let [last] = slots[..] {
                    *self = Slots::One(last);
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Kept = ((Hub, Option<Uuid>), Vec<Uuid>, Box<[Membership]>);

    /// A registry with what its connections keep, and the naive truth beside it.
    #[derive(Default)]
    struct Model {
        registry: Registry,
        kept: HashMap<u32, Kept>,
    }

    impl Model {
        fn register(&mut self, slot: u32, hub: Hub, id: Option<Uuid>, organizations: Vec<Uuid>) {
            let memberships = self.registry.register(slot, hub, id, &organizations);
            self.kept.insert(slot, ((hub, id), organizations, memberships));
        }

        fn deregister(&mut self, slot: u32) {
            let ((hub, id), _, memberships) = self.kept.remove(&slot).expect("a slot that is here");
            self.registry.deregister(slot, hub, id, &memberships, |slot, number, membership| {
                self.kept.get_mut(&slot).expect("a moved slot is here").2[number] = membership;
            });
        }

        fn check(&self, ids: &[Uuid], organizations: &[Uuid]) {
            let sorted = |mut slots: Vec<u32>| {
                slots.sort_unstable();
                slots
            };
            let expected = |holds: &dyn Fn(&Kept) -> bool| {
                sorted(self.kept.iter().filter(|(_, kept)| holds(kept)).map(|(slot, _)| *slot).collect())
            };
            for id in ids {
                for hub in [Hub::Main, Hub::Anonymous] {
                    let found = sorted(self.registry.slots_of(hub, *id).to_vec());
                    assert_eq!(found, expected(&|kept| kept.0 == (hub, Some(*id))));
                }
            }
            for organization in organizations {
                let found = sorted(self.registry.slots_of_organization(*organization).collect());
                assert_eq!(found, expected(&|kept| kept.1.contains(organization)));
            }
        }
    }

    #[test]
    fn agrees_with_a_naive_model_under_random_joins_and_leaves() {
        let ids = |kind: u128| (0..7).map(|number| Uuid::from_u128(kind << 64 | number)).collect::<Vec<_>>();
        let (users, organizations) = (ids(1), ids(2));
        let mut model = Model::default();
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        for _ in 0..5000 {
            let slot = random(40) as u32;
            if model.kept.contains_key(&slot) {
                model.deregister(slot);
            } else {
                let hub = if random(2) == 0 { Hub::Main } else { Hub::Anonymous };
                let user = users.get(random(8) as usize).copied();
                let mine = organizations.iter().copied().filter(|_| random(3) == 0).collect();
                model.register(slot, hub, user, mine);
            }
            model.check(&users, &organizations);
        }
        for slot in model.kept.keys().copied().collect::<Vec<_>>() {
            model.deregister(slot);
        }
        assert!(
            model.registry.slots_by_id.iter().all(HashMap::is_empty) && model.registry.organization_index.is_empty()
        );
        assert!(model.registry.organizations.is_empty());
    }
}
