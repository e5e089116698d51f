//! The delays between requests to the queue. No I/O.

use std::time::Duration;

use crate::net::backoff::{Backoff, exponential_delay};

/// The delay after the first empty response. Each further empty response doubles it.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The maximum delay after an empty response. Including the request, a push to an idle hub waits for at most a second.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(900);

/// The maximum delay after the first error. Each further error doubles it.
const INITIAL_ERROR_DELAY: Duration = Duration::from_millis(250);

/// The maximum delay after an error.
const MAX_ERROR_DELAY: Duration = Duration::from_secs(15);

/// The delay between two polls of a queue.
#[derive(Debug, Default)]
pub(super) struct PollInterval {
    empty_responses: u32,
}

impl PollInterval {
    /// Resets the delay after a response with messages. Returns zero, because more messages may be there.
    pub(super) fn reset(&mut self) -> Duration {
        self.empty_responses = 0;
        Duration::ZERO
    }

    /// Returns the delay after an empty response.
    pub(super) fn next_idle(&mut self) -> Duration {
        let delay = exponential_delay(MIN_POLL_INTERVAL, self.empty_responses, MAX_POLL_INTERVAL);
        self.empty_responses = self.empty_responses.saturating_add(1);
        delay
    }
}

/// Creates the backoff for consecutive errors of one operation.
pub(super) fn error_backoff() -> Backoff {
    Backoff::new(INITIAL_ERROR_DELAY, MAX_ERROR_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poll_interval_empty_responses_double_it_to_the_maximum() {
        let mut poll_interval = PollInterval::default();
        let delays: Vec<u128> = (0..8).map(|_| poll_interval.next_idle().as_millis()).collect();
        assert_eq!(delays, [25, 50, 100, 200, 400, 800, 900, 900]);
        assert_eq!(poll_interval.reset(), Duration::ZERO);
        assert_eq!(poll_interval.next_idle(), MIN_POLL_INTERVAL);
        (0..100).for_each(|_| _ = poll_interval.next_idle());
        assert_eq!(poll_interval.next_idle(), MAX_POLL_INTERVAL);
    }

    #[test]
    fn error_backoff_doubles_with_jitter_to_the_maximum() {
        let (mut shortest, mut longest) = (error_backoff(), error_backoff());
        let shortest: Vec<u128> = (0..8).map(|_| shortest.next_delay(0).as_millis()).collect();
        let longest: Vec<u128> = (0..8).map(|_| longest.next_delay(u64::MAX).as_millis()).collect();
        assert_eq!(shortest, [125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
        assert_eq!(longest, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        let mut long_running = error_backoff();
        assert!((0..100).all(|_| long_running.next_delay(u64::MAX) <= MAX_ERROR_DELAY));
    }
}
