//! Exponential backoff with jitter. No I/O, except for the randomness of [`random`].

use std::time::Duration;

/// The backoff of one operation. Delays double from one failure to the next.
#[derive(Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Creates a backoff with the delay after the first failure and the maximum delay.
    pub fn new(initial: Duration, max: Duration) -> Backoff {
        Backoff { initial, max, failures: 0 }
    }

    /// Returns the delay after another failure: between half of the doubled delay and all of it, in proportion to `random`. The
    /// jitter prevents operations that failed together from retrying together.
    pub fn next_delay(&mut self, random: u64) -> Duration {
        let half = exponential_delay(self.initial, self.failures, self.max) / 2;
        self.failures = self.failures.saturating_add(1);
        half + half.mul_f64(random as f64 / u64::MAX as f64)
    }

    /// Resets the delay after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns the initial delay after doubling it `times` times, but at most 16 times and to at most `max`.
pub fn exponential_delay(initial: Duration, times: u32, max: Duration) -> Duration {
    initial.saturating_mul(1 << times.min(16)).min(max)
}

/// Returns a random number for [`Backoff::next_delay`].
pub fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL_DELAY: Duration = Duration::from_millis(250);
    const MAX_DELAY: Duration = Duration::from_secs(15);

    #[test]
    fn backoff_doubles_with_jitter_up_to_the_maximum() {
        let (mut shortest, mut longest) =
            (Backoff::new(INITIAL_DELAY, MAX_DELAY), Backoff::new(INITIAL_DELAY, MAX_DELAY));
        let delays: Vec<u128> = (0..8).map(|_| shortest.next_delay(0).as_millis()).collect();
        assert_eq!(delays, [125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
        let delays: Vec<u128> = (0..8).map(|_| longest.next_delay(u64::MAX).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        assert!((0..100).all(|_| longest.next_delay(u64::MAX) <= MAX_DELAY));
        longest.reset();
        assert_eq!(longest.next_delay(u64::MAX), INITIAL_DELAY);
    }
}
