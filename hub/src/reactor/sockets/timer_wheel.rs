//! A timer wheel over slots: an entry of four bytes per timer, in buckets of one tick. Timers may fire early, never late. Only
//! the earliest entry of a slot is valid; stale entries are skipped. No I/O.

use crate::signalr::Tick;

/// How many ticks ahead a bucket can be. Later timers fire then and are scheduled again.
const BUCKETS: usize = 512;

/// Marks a slot without a timer.
const UNSCHEDULED: Tick = Tick(u32::MAX);

/// A timer wheel over slot numbers.
pub(super) struct TimerWheel {
    buckets: Vec<Vec<u32>>,
    /// The first tick whose bucket was not popped.
    next: Tick,
    entries: usize,
    /// For each slot the tick of its valid entry.
    scheduled_at: Vec<Tick>,
}

impl TimerWheel {
    /// Creates an empty wheel that starts now.
    pub(super) fn new(now: Tick) -> TimerWheel {
        TimerWheel { buckets: vec![Vec::new(); BUCKETS], next: now, entries: 0, scheduled_at: Vec::new() }
    }

    /// Schedules a timer of a slot for a tick. Ignored if an earlier one is scheduled.
    pub(super) fn schedule(&mut self, slot: u32, due: Tick) {
        let index = slot as usize;
        if index >= self.scheduled_at.len() {
            self.scheduled_at.resize(index + 1, UNSCHEDULED);
        }
        let due = due.clamp(self.next, self.next.after(BUCKETS as u32 - 1));
        if due < self.scheduled_at[index] {
            self.scheduled_at[index] = due;
            self.buckets[due.0 as usize % BUCKETS].push(slot);
            self.entries += 1;
        }
    }

    /// Pops the slots of the earliest tick that is due, or returns `None` if none is left.
    pub(super) fn pop_expired(&mut self, now: Tick) -> Option<Vec<u32>> {
        while self.next <= now {
            let tick = self.next;
            self.next = tick.after(1);
            let mut due = std::mem::take(&mut self.buckets[tick.0 as usize % BUCKETS]);
            if !due.is_empty() {
                self.entries -= due.len();
                let scheduled_at = &mut self.scheduled_at;
                due.retain(|slot| {
                    let counts = scheduled_at[*slot as usize] == tick;
                    if counts {
                        scheduled_at[*slot as usize] = UNSCHEDULED;
                    }
                    counts
                });
                return Some(due);
            }
        }
        None
    }

    /// Returns the earliest tick with an entry, or `None` for an empty wheel.
    pub(super) fn next_deadline(&self) -> Option<Tick> {
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

    fn all(wheel: &mut TimerWheel, now: u32) -> Vec<Vec<u32>> {
        std::iter::from_fn(|| wheel.pop_expired(Tick(now))).collect()
    }

    #[test]
    fn wheel_returns_slots_in_tick_order() {
        let mut wheel = TimerWheel::new(Tick(10));
        assert_eq!(wheel.next_deadline(), None);
        wheel.schedule(1, Tick(15));
        wheel.schedule(2, Tick(12));
        wheel.schedule(3, Tick(15));
        assert_eq!(wheel.next_deadline(), Some(Tick(12)));
        assert_eq!(all(&mut wheel, 11), Vec::<Vec<u32>>::new());
        assert_eq!(all(&mut wheel, 20), [vec![2], vec![1, 3]]);
        assert_eq!(wheel.next_deadline(), None);
    }

    #[test]
    fn wheel_rearmed_slot_fires_once_at_the_earliest_tick() {
        let mut wheel = TimerWheel::new(Tick(0));
        for due in [50, 60, 70, 50] {
            wheel.schedule(1, Tick(due));
        }
        assert_eq!(wheel.entries, 1);
        wheel.schedule(1, Tick(20));
        assert_eq!(all(&mut wheel, 100), [vec![1], vec![]], "the entry that was later does not count any more");
        wheel.schedule(1, Tick(120));
        assert_eq!(all(&mut wheel, 120), [vec![1]]);
    }

    #[test]
    fn wheel_past_and_far_ticks_are_clamped() {
        let mut wheel = TimerWheel::new(Tick(100));
        wheel.schedule(1, Tick(3));
        wheel.schedule(2, Tick(1_000_000));
        assert_eq!(all(&mut wheel, 100), [vec![1]]);
        assert_eq!(all(&mut wheel, 100 + BUCKETS as u32 - 2), Vec::<Vec<u32>>::new());
        assert_eq!(all(&mut wheel, 100 + BUCKETS as u32 - 1), [vec![2]]);
    }

    #[test]
    fn wheel_clock_jump_fires_every_slot() {
        let mut wheel = TimerWheel::new(Tick(0));
        for slot in 0..1000 {
            wheel.schedule(slot, Tick(slot % 300));
        }
        let taken: usize = all(&mut wheel, 5000).iter().map(Vec::len).sum();
        assert_eq!(taken, 1000);
    }
}
