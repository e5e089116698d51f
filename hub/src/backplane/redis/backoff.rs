//! How long to wait before Redis is tried again. Pure, but for the randomness that is handed in.

use std::time::Duration;

/// The first pause; it doubles from one failure to the next.
const FIRST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(5);

/// How long it takes to connect and to listen.
const CONNECTING: Duration = Duration::from_secs(1);

/// The pace of trying again.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after another failure: half of it certain, half by chance, so that replicas do not come back in step.
    pub(super) fn pause(&mut self, random: u64) -> Duration {
        let half = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST) / 2;
        self.failures = self.failures.saturating_add(1);
        half + half.mul_f64(random as f64 / u64::MAX as f64)
    }
}

/// How long after Redis has come back others may still be on their way: they began to pause when it went, `away` ago, and
/// no pause is longer than twice the time before it.
pub(super) fn others_are_back(away: Duration) -> Duration {
    (away * 2).min(LONGEST) + CONNECTING
}

/// Randomness for [`Backoff::pause`]; not pure.
pub(super) fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_still_away_by_then() {
        for random in [0, u64::MAX] {
            let (mut backoff, mut before) = (Backoff::default(), Duration::from_millis(50));
            for _ in 0..12 {
                let pause = backoff.pause(random);
                assert!(pause <= others_are_back(before), "{before:?}");
                before += pause;
            }
        }
    }

    #[test]
    fn pauses_double_up_to_five_seconds() {
        let (mut least, mut most) = (Backoff::default(), Backoff::default());
        let least: Vec<u128> = (0..8).map(|_| least.pause(0).as_millis()).collect();
        let most: Vec<u128> = (0..8).map(|_| most.pause(u64::MAX).as_millis()).collect();
        assert_eq!(least, [50, 100, 200, 400, 800, 1600, 2500, 2500]);
        assert_eq!(most, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }
}
