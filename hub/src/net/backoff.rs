//! Exponential backoff with jitter. No I/O, apart from random numbers.

use std::time::Duration;

/// The delays after consecutive failures of one operation, or between polls that find nothing. Each is twice the one before.
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

    /// Returns the delay after another failure, with jitter: operations that failed together do not retry together.
    pub fn next_delay(&mut self) -> Duration {
        with_jitter(self.next_exact_delay(), random())
    }

    /// Returns the delay after another failure, without jitter.
    pub fn next_exact_delay(&mut self) -> Duration {
        let delay = self.initial.saturating_mul(1 << self.failures.min(16)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// Resets the delay after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Returns between half of a delay and all of it, in proportion to `random`, which may be any `u64`.
pub fn with_jitter(delay: Duration, random: u64) -> Duration {
    let half = delay / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

/// Returns a random number for [`with_jitter`].
pub fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INITIAL_DELAY: Duration = Duration::from_millis(25);
    const MAX_DELAY: Duration = Duration::from_millis(900);

    #[test]
    fn backoff_doubles_up_to_the_maximum() {
        let mut backoff = Backoff::new(INITIAL_DELAY, MAX_DELAY);
        let delays: Vec<u128> = (0..8).map(|_| backoff.next_exact_delay().as_millis()).collect();
        assert_eq!(delays, [25, 50, 100, 200, 400, 800, 900, 900]);
        assert!((0..100).all(|_| backoff.next_exact_delay() == MAX_DELAY));
        backoff.reset();
        assert_eq!(backoff.next_exact_delay(), INITIAL_DELAY);
    }

    #[test]
    fn jitter_is_at_most_half_of_the_delay() {
        assert_eq!(with_jitter(MAX_DELAY, 0), MAX_DELAY / 2);
        assert_eq!(with_jitter(MAX_DELAY, u64::MAX), MAX_DELAY);
        let mut backoff = Backoff::new(INITIAL_DELAY, INITIAL_DELAY);
        assert!((0..100).all(|_| (INITIAL_DELAY / 2..=INITIAL_DELAY).contains(&backoff.next_delay())));
    }
}
