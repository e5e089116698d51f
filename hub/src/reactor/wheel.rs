//! When each slot has to be looked at again: one entry a slot, four bytes each, in buckets of a tick.

use crate::connection::Tick;

/// How far ahead a bucket can be; what is due later is looked at then and put off again.
const BUCKETS: usize = 512;

/// A timing wheel over slot numbers.
pub(super) struct Wheel {
    buckets: Vec<Vec<u32>>,
    /// Everything before this tick has been taken.
    next: Tick,
    entries: usize,
}

impl Wheel {
    /// An empty wheel that starts now.
    pub(super) fn new(now: Tick) -> Wheel {
        Wheel { buckets: vec![Vec::new(); BUCKETS], next: now, entries: 0 }
    }

    /// Notes that a slot has to be looked at when a tick begins; gives the tick at which that will be, which is earlier
    /// for one that is too far ahead.
    pub(super) fn arm(&mut self, slot: u32, due: Tick) -> Tick {
        let due = due.clamp(self.next, self.next.after(BUCKETS as u32 - 1));
        self.buckets[due.0 as usize % BUCKETS].push(slot);
        self.entries += 1;
        due
    }

    /// The slots of the earliest tick that has come, with that tick; nothing once all of them are taken. An entry may be
    /// stale: its slot is armed for another tick by now.
    pub(super) fn expired(&mut self, now: Tick) -> Option<(Tick, Vec<u32>)> {
        while self.next <= now {
            let tick = self.next;
            self.next = tick.after(1);
            let due = std::mem::take(&mut self.buckets[tick.0 as usize % BUCKETS]);
            if !due.is_empty() {
                self.entries -= due.len();
                return Some((tick, due));
            }
        }
        None
    }

    /// The tick at which something may be due; nothing for an empty wheel.
    pub(super) fn earliest(&self) -> Option<Tick> {
        if self.entries == 0 {
            return None;
        }
        let ahead = (0..BUCKETS as u32).find(|&ahead| !self.bucket(self.next.after(ahead)).is_empty())?;
        Some(self.next.after(ahead))
    }

    fn bucket(&self, tick: Tick) -> &[u32] {
        &self.buckets[tick.0 as usize % BUCKETS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(wheel: &mut Wheel, now: u32) -> Vec<(u32, Vec<u32>)> {
        std::iter::from_fn(|| wheel.expired(Tick(now)).map(|(tick, slots)| (tick.0, slots))).collect()
    }

    #[test]
    fn slots_come_in_the_order_of_their_ticks() {
        let mut wheel = Wheel::new(Tick(10));
        assert_eq!(wheel.earliest(), None);
        wheel.arm(1, Tick(15));
        wheel.arm(2, Tick(12));
        wheel.arm(3, Tick(15));
        assert_eq!(wheel.earliest(), Some(Tick(12)));
        assert_eq!(all(&mut wheel, 11), []);
        assert_eq!(all(&mut wheel, 20), [(12, vec![2]), (15, vec![1, 3])]);
        assert_eq!(wheel.earliest(), None);
    }

    #[test]
    fn what_is_past_or_far_ahead_is_brought_near() {
        let mut wheel = Wheel::new(Tick(100));
        assert_eq!(wheel.arm(1, Tick(3)), Tick(100));
        let far = wheel.arm(2, Tick(1_000_000));
        assert_eq!(far, Tick(100 + BUCKETS as u32 - 1));
        assert_eq!(all(&mut wheel, far.0), [(100, vec![1]), (far.0, vec![2])]);
    }

    #[test]
    fn a_jump_of_the_clock_loses_nothing() {
        let mut wheel = Wheel::new(Tick(0));
        for slot in 0..1000 {
            wheel.arm(slot, Tick(slot % 300));
        }
        let taken: usize = all(&mut wheel, 5000).iter().map(|(_, slots)| slots.len()).sum();
        assert_eq!(taken, 1000);
    }
}
