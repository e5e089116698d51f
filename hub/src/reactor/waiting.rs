//! Clients whose handshake is answered once the backplane listens for them, or after a second. Pure.

use std::collections::VecDeque;

use foldhash::HashMap;

use crate::connection::Tick;

/// The slots of those that wait, each with the number of its wait.
#[derive(Default)]
pub(super) struct Waiting {
    slots: HashMap<u32, u64>,
    /// All wait equally long.
    order: VecDeque<(Tick, u32, u64)>,
    last: u64,
}

impl Waiting {
    /// Has a slot wait until a tick, not earlier than the last one's; the number of its wait.
    pub(super) fn add(&mut self, slot: u32, until: Tick) -> u64 {
        self.last += 1;
        self.slots.insert(slot, self.last);
        self.order.push_back((until, slot, self.last));
        self.last
    }

    /// Whether a slot waits.
    pub(super) fn holds(&self, slot: u32) -> bool {
        !self.slots.is_empty() && self.slots.contains_key(&slot)
    }

    /// Ends a wait; false if it has ended before, whoever is in that slot now.
    pub(super) fn end(&mut self, slot: u32, number: u64) -> bool {
        let is_it = self.slots.get(&slot) == Some(&number);
        if is_it {
            self.slots.remove(&slot);
        }
        is_it
    }

    /// Whoever was in a slot waits no more.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.slots.is_empty() {
            self.slots.remove(&slot);
        }
    }

    /// Ends the next wait that has taken until now; its slot.
    pub(super) fn expired(&mut self, now: Tick) -> Option<u32> {
        while self
            .order
            .front()
            .is_some_and(|(until, slot, number)| *until <= now || self.slots.get(slot) != Some(number))
        {
            let (_, slot, number) = self.order.pop_front()?;
            if self.end(slot, number) {
                return Some(slot);
            }
        }
        None
    }

    /// When to look for those again.
    pub(super) fn next(&self) -> Option<Tick> {
        self.order.front().map(|(until, ..)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_once() {
        let mut waiting = Waiting::default();
        let (first, second) = (waiting.add(1, Tick(5)), waiting.add(2, Tick(6)));
        assert!(waiting.holds(1) && waiting.holds(2) && !waiting.holds(3));
        assert!(waiting.end(1, first) && !waiting.end(1, first) && !waiting.holds(1));
        assert_eq!((waiting.expired(Tick(5)), waiting.next()), (None, Some(Tick(6))));
        assert_eq!((waiting.expired(Tick(6)), waiting.expired(Tick(9)), waiting.next()), (Some(2), None, None));
        assert!(!waiting.end(2, second));
    }

    #[test]
    fn who_comes_to_the_slot_of_somebody_else_waits_for_their_own_number() {
        let mut waiting = Waiting::default();
        let old = waiting.add(1, Tick(5));
        waiting.forget(1);
        let new = waiting.add(1, Tick(7));
        assert!(!waiting.end(1, old) && waiting.holds(1));
        assert_eq!(waiting.expired(Tick(6)), None);
        assert!(waiting.end(1, new));
        assert_eq!((waiting.expired(Tick(6)), waiting.next()), (None, None));
    }
}
