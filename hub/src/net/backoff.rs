//! How long to wait before something that failed is tried again. No I/O but [`random`].

use std::time::Duration;

/// The pace of trying again: pauses double from one failure to the next.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// A pace that begins with one pause and does not go beyond another.
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, failures: 0 }
    }

    /// The pause after another failure: half of it certain, half by chance (`random`, of all that there are), so that those who
    /// failed together do not come back in step.
    pub fn pause(&mut self, random: u64) -> Duration {
        let half = doubled(self.first, self.failures, self.longest) / 2;
        self.failures = self.failures.saturating_add(1);
        half + half.mul_f64(random as f64 / u64::MAX as f64)
    }

    /// It has not failed: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A duration that is doubled so many times, but no longer than `most`.
pub fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(most)
}

/// Randomness for [`Backoff::pause`].
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
        let (mut least, mut most) = (Backoff::new(INITIAL_DELAY, MAX_DELAY), Backoff::new(INITIAL_DELAY, MAX_DELAY));
        let pauses: Vec<u128> = (0..8).map(|_| least.pause(0).as_millis()).collect();
        assert_eq!(pauses, [125, 250, 500, 1000, 2000, 4000, 7500, 7500]);
        let pauses: Vec<u128> = (0..8).map(|_| most.pause(u64::MAX).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000]);
        assert!((0..100).all(|_| most.pause(u64::MAX) <= MAX_DELAY));
        most.reset();
        assert_eq!(most.pause(u64::MAX), INITIAL_DELAY);
    }
}
