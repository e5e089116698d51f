//! When each slot has to be looked at again: an entry of four bytes, in buckets of a tick. A look may come early, but never late:
//! a slot has one entry that counts, whoever came and left since.

use crate::connection::Tick;

/// How far ahead a bucket can be; what is due later is looked at then and put off again.
const BUCKETS: usize = 512;

/// Not at all.
const NEVER: Tick = Tick(u32::MAX);

/// A timing wheel over slot numbers.
pub(super) struct Wheel {
    buckets: Vec<Vec<u32>>,
    /// Everything before this tick has been taken.
    next: Tick,
    entries: usize,
    /// For each slot the tick of the entry that counts; any other is stale.
    armed: Vec<Tick>,
}

impl Wheel {
    /// An empty wheel that starts now.
    pub(super) fn new(now: Tick) -> Wheel {
        Wheel { buckets: vec![Vec::new(); BUCKETS], next: now, entries: 0, armed: Vec::new() }
    }

    /// Has a slot looked at when a tick begins, or earlier.
    pub(super) fn arm(&mut self, slot: u32, due: Tick) {
        let place = slot as usize;
        if place >= self.armed.len() {
            self.armed.resize(place + 1, NEVER);
        }
        let due = due.clamp(self.next, self.next.after(BUCKETS as u32 - 1));
        if due < self.armed[place] {
            self.armed[place] = due;
            self.buckets[due.0 as usize % BUCKETS].push(slot);
            self.entries += 1;
        }
    }

    /// The slots of the earliest tick that has come; nothing once all of them are taken.
    pub(super) fn expired(&mut self, now: Tick) -> Option<Vec<u32>> {
        while self.next <= now {
            let tick = self.next;
            self.next = tick.after(1);
            let mut due = std::mem::take(&mut self.buckets[tick.0 as usize % BUCKETS]);
            if !due.is_empty() {
                self.entries -= due.len();
                let armed = &mut self.armed;
                due.retain(|slot| {
                    let counts = armed[*slot as usize] == tick;
                    if counts {
                        armed[*slot as usize] = NEVER;
                    }
                    counts
                });
                return Some(due);
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

    fn all(wheel: &mut Wheel, now: u32) -> Vec<Vec<u32>> {
        std::iter::from_fn(|| wheel.expired(Tick(now))).collect()
    }

    #[test]
    fn wheel_returns_slots_in_tick_order() {
        let mut wheel = Wheel::new(Tick(10));
        assert_eq!(wheel.earliest(), None);
        wheel.arm(1, Tick(15));
        wheel.arm(2, Tick(12));
        wheel.arm(3, Tick(15));
        assert_eq!(wheel.earliest(), Some(Tick(12)));
        assert_eq!(all(&mut wheel, 11), Vec::<Vec<u32>>::new());
        assert_eq!(all(&mut wheel, 20), [vec![2], vec![1, 3]]);
        assert_eq!(wheel.earliest(), None);
    }

    #[test]
    fn wheel_rearmed_slot_fires_once_at_the_earliest_tick() {
        let mut wheel = Wheel::new(Tick(0));
        for due in [50, 60, 70, 50] {
            wheel.arm(1, Tick(due));
        }
        assert_eq!(wheel.entries, 1);
        wheel.arm(1, Tick(20));
        assert_eq!(all(&mut wheel, 100), [vec![1], vec![]], "the entry that was later does not count any more");
        wheel.arm(1, Tick(120));
        assert_eq!(all(&mut wheel, 120), [vec![1]]);
    }

    #[test]
    fn wheel_past_and_far_ticks_are_clamped() {
        let mut wheel = Wheel::new(Tick(100));
        wheel.arm(1, Tick(3));
        wheel.arm(2, Tick(1_000_000));
        assert_eq!(all(&mut wheel, 100), [vec![1]]);
        assert_eq!(all(&mut wheel, 100 + BUCKETS as u32 - 2), Vec::<Vec<u32>>::new());
        assert_eq!(all(&mut wheel, 100 + BUCKETS as u32 - 1), [vec![2]]);
    }

    #[test]
    fn wheel_clock_jump_fires_every_slot() {
        let mut wheel = Wheel::new(Tick(0));
        for slot in 0..1000 {
            wheel.arm(slot, Tick(slot % 300));
        }
        let taken: usize = all(&mut wheel, 5000).iter().map(Vec::len).sum();
        assert_eq!(taken, 1000);
    }
}
