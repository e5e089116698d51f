//! The schedule of a drain: which connections to close, and when. No I/O.

use std::time::{Duration, Instant};

/// How often a drain closes connections.
const DRAIN_INTERVAL: Duration = Duration::from_millis(50);

/// The slots that are still to be closed, in random order.
#[derive(Debug)]
pub(super) struct DrainSchedule {
    left: Vec<u32>,
    total: usize,
    start: Instant,
    duration: Duration,
}

impl DrainSchedule {
    /// Schedules the close of these slots, evenly over a duration.
    pub(super) fn new(
        mut slots: Vec<u32>,
        start: Instant,
        duration: Duration,
        mut random: impl FnMut() -> u64,
    ) -> DrainSchedule {
        // Random order, so that users of several devices do not lose them all at once.
        for last in (1..slots.len()).rev() {
            slots.swap(last, (random() % (last as u64 + 1)) as usize);
        }
        DrainSchedule { total: slots.len(), left: slots, start, duration }
    }

    /// Takes the slots that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u32> {
        let elapsed = now.saturating_duration_since(self.start);
        let share = if elapsed >= self.duration { 1.0 } else { elapsed.as_secs_f64() / self.duration.as_secs_f64() };
        let gone = (self.total as f64 * share).ceil() as usize;
        self.left.split_off(self.total.saturating_sub(gone).min(self.left.len()))
    }

    /// Returns how long the poll may wait because of the drain, `None` if no slot is left.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(DRAIN_INTERVAL)
    }

    /// Returns whether no slot is left.
    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> impl FnMut() -> u64 {
        let mut state = 1u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 20
        }
    }

    #[test]
    fn drain_closes_each_connection_once_evenly_in_shuffled_order() {
        let start = Instant::now();
        let mut drain = DrainSchedule::new((0..100).collect(), start, Duration::from_secs(10), counter());
        let first = drain.take_due(start + Duration::from_secs(1));
        assert_eq!(first.len(), 10);
        let second = drain.take_due(start + Duration::from_secs(5));
        assert_eq!(second.len(), 40);
        assert!(!drain.is_empty());
        let last = drain.take_due(start + Duration::from_secs(11));
        assert!(drain.is_empty());
        let mut all = [first, second, last].concat();
        assert_ne!(all, (0..100).rev().collect::<Vec<u32>>());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u32>>());
    }

    #[test]
    fn drain_zero_duration_closes_all_at_once() {
        let start = Instant::now();
        let mut drain = DrainSchedule::new(vec![7], start, Duration::ZERO, counter());
        assert_eq!(drain.take_due(start), [7]);
        assert!(drain.is_empty());
    }
}
