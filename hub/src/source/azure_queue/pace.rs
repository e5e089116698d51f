//! How long to wait between requests. Pure.

use std::time::Duration;

use crate::backoff::{Backoff, doubled};

/// The pause after the first empty answer; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// The longest pause: with the request itself, a push at an idle moment waits for at most a second.
const LONGEST_PAUSE: Duration = Duration::from_millis(900);

/// The pause after the first fault; it doubles from one to the next.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);

/// The longest pause between faults.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// The pace of polling an empty queue.
#[derive(Debug, Default)]
pub(super) struct Pace {
    empty: u32,
}

impl Pace {
    /// The pause after an answer with messages: none, more may be waiting.
    pub(super) fn busy(&mut self) -> Duration {
        self.empty = 0;
        Duration::ZERO
    }

    /// The pause after an empty answer.
    pub(super) fn idle(&mut self) -> Duration {
        let pause = doubled(FIRST_PAUSE, self.empty, LONGEST_PAUSE);
        self.empty = self.empty.saturating_add(1);
        pause
    }
}

/// The pace of trying again after faults.
pub(super) fn after_faults() -> Backoff {
    Backoff::new(FIRST_BACKOFF, LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_pause_doubles_up_to_900_ms() {
        let mut pace = Pace::default();
        let pauses: Vec<u128> = (0..8).map(|_| pace.idle().as_millis()).collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 800, 900, 900]);
        assert_eq!(pace.busy(), Duration::ZERO);
        assert_eq!(pace.idle(), FIRST_PAUSE);
        (0..100).for_each(|_| _ = pace.idle());
        assert_eq!(pace.idle(), LONGEST_PAUSE);
    }

    #[test]
    fn after_faults_backoff_doubles_with_jitter_to_the_maximum() {
        let (mut least, mut most) = (after_faults(), after_faults());
        let least: Vec<u128> = (0..8).map(|_| least.pause(0).as_millis()).collect();
        let most: Vec<u128> = (0..8).map(|_| most.pause(u64::MAX).as_millis()).collect();
        assert_eq!(least, [125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
        assert_eq!(most, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        let mut tireless = after_faults();
        assert!((0..100).all(|_| tireless.pause(u64::MAX) <= LONGEST_BACKOFF));
    }
}
