//! How long to wait before Redis is tried again. Pure.

use std::time::Duration;

use crate::backoff::Backoff;

/// The first pause; it doubles from one failure to the next.
const FIRST: Duration = Duration::from_millis(100);

/// The longest.
const LONGEST: Duration = Duration::from_secs(5);

/// How long it takes to connect and to listen.
const CONNECTING: Duration = Duration::from_secs(1);

/// The pace of trying again.
pub(super) fn after_losses() -> Backoff {
    Backoff::new(FIRST, LONGEST)
}

/// How long after Redis has come back others may still be on their way: they began to pause when it went, `away` ago, and
/// no pause is longer than twice the time before it.
pub(super) fn others_are_back(away: Duration) -> Duration {
    (away * 2).min(LONGEST) + CONNECTING
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_still_away_by_then() {
        for random in [0, u64::MAX] {
            let (mut backoff, mut before) = (after_losses(), Duration::from_millis(50));
            for _ in 0..12 {
                let pause = backoff.pause(random);
                assert!(pause <= others_are_back(before), "{before:?}");
                before += pause;
            }
        }
    }

    #[test]
    fn pauses_double_up_to_five_seconds() {
        let (mut least, mut most) = (after_losses(), after_losses());
        let least: Vec<u128> = (0..8).map(|_| least.pause(0).as_millis()).collect();
        let most: Vec<u128> = (0..8).map(|_| most.pause(u64::MAX).as_millis()).collect();
        assert_eq!(least, [50, 100, 200, 400, 800, 1600, 2500, 2500]);
        assert_eq!(most, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }
}
