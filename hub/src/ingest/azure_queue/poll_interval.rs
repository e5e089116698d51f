//! How long to wait between requests. No I/O.

use std::time::Duration;

use crate::net::backoff::{Backoff, exponential_delay};

/// The interval after the first empty response. It doubles from one to the next.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The longest pause: with the request itself, a push at an idle moment waits for at most a second.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(900);

/// The pause after the first fault; it doubles from one to the next.
const INITIAL_ERROR_DELAY: Duration = Duration::from_millis(250);

/// The longest pause between faults.
const MAX_ERROR_DELAY: Duration = Duration::from_secs(15);

/// The interval of polling a queue.
#[derive(Debug, Default)]
pub(super) struct PollInterval {
    empty: u32,
}

impl PollInterval {
    /// Resets the interval after a response with messages, and returns no pause.
    pub(super) fn reset(&mut self) -> Duration {
        self.empty = 0;
        Duration::ZERO
    }

    /// Returns the interval after an empty response.
    pub(super) fn next_idle(&mut self) -> Duration {
        let pause = exponential_delay(MIN_POLL_INTERVAL, self.empty, MAX_POLL_INTERVAL);
        self.empty = self.empty.saturating_add(1);
        pause
    }
}

/// Returns the backoff after errors.
pub(super) fn error_backoff() -> Backoff {
    Backoff::new(INITIAL_ERROR_DELAY, MAX_ERROR_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_pause_doubles_up_to_900_ms() {
        let mut poll_interval = PollInterval::default();
        let pauses: Vec<u128> = (0..8).map(|_| poll_interval.next_idle().as_millis()).collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 800, 900, 900]);
        assert_eq!(poll_interval.reset(), Duration::ZERO);
        assert_eq!(poll_interval.next_idle(), MIN_POLL_INTERVAL);
        (0..100).for_each(|_| _ = poll_interval.next_idle());
        assert_eq!(poll_interval.next_idle(), MAX_POLL_INTERVAL);
    }

    #[test]
    fn after_faults_backoff_doubles_with_jitter_to_the_maximum() {
        let (mut least, mut most) = (error_backoff(), error_backoff());
        let least: Vec<u128> = (0..8).map(|_| least.pause(0).as_millis()).collect();
        let most: Vec<u128> = (0..8).map(|_| most.pause(u64::MAX).as_millis()).collect();
        assert_eq!(least, [125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
        assert_eq!(most, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        let mut tireless = error_backoff();
        assert!((0..100).all(|_| tireless.pause(u64::MAX) <= MAX_ERROR_DELAY));
    }
}
