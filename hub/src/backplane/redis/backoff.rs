//! How long to wait before Redis is tried again. No I/O.

use std::time::{Duration, Instant};

use crate::net::backoff::random;

/// The first pause; it grows with the time that Redis is away.
const MIN_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause of an outage up to [`SHORT_OUTAGE`].
const MAX_PAUSE: Duration = Duration::from_millis(400);

/// The longest pause of a longer outage.
const MAX_PAUSE_OF_LONG_OUTAGE: Duration = Duration::from_millis(2400);

/// Up to this, Redis is tried often enough to be heard within a second of its return; later, within three.
const SHORT_OUTAGE: Duration = Duration::from_secs(60);

/// How much sooner or later than this replica others may notice that Redis is away.
const NOTICE_SKEW: Duration = Duration::from_secs(10);

/// A connection that lives for less does not end an outage: a Redis that hangs up at once is tried less and less often.
const STABLE: Duration = Duration::from_secs(1);

/// How long it takes to connect and to subscribe.
const CONNECT_TIME: Duration = Duration::from_millis(600);

/// The pace at which one connection to Redis is tried again.
#[derive(Debug, Default)]
pub(super) struct ReconnectBackoff {
    lost: Option<Instant>,
    connected: Option<Instant>,
}

impl ReconnectBackoff {
    /// Returns the pause after a failed attempt or a lost connection.
    pub(super) fn pause(&mut self) -> Duration {
        if self.connected.take().is_some_and(|since| since.elapsed() >= STABLE) {
            self.lost = None;
        }
        pause(self.lost.get_or_insert_with(Instant::now).elapsed(), random())
    }

    /// Notes that the connection serves.
    pub(super) fn reset(&mut self) {
        self.connected.get_or_insert_with(Instant::now);
    }

    /// Returns how long the connection has been away, or `None` if it was not lost or serves again.
    pub(super) fn away(&self) -> Option<Duration> {
        self.lost.filter(|_| self.connected.is_none()).map(|lost| lost.elapsed())
    }
}

/// Returns the pause after a failed attempt, when Redis has been `away` for so long. Half of it is certain, half by chance
/// (`random`, of all that there are): replicas that lost Redis together come back spread over the longest pause.
pub(super) fn pause(away: Duration, random: u64) -> Duration {
    let half = away.max(MIN_PAUSE).min(longest(away)) / 2;
    half + half.mul_f64(random as f64 / u64::MAX as f64)
}

/// Returns how long after the return of Redis, which was `away` for so long, other replicas may still be on their way.
pub(super) fn peer_reconnect_grace(away: Duration) -> Duration {
    longest(away + NOTICE_SKEW) + CONNECT_TIME
}

fn longest(away: Duration) -> Duration {
    if away <= SHORT_OUTAGE { MAX_PAUSE } else { MAX_PAUSE_OF_LONG_OUTAGE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times after the loss at which a replica tries.
    fn attempts(random: impl Fn(usize) -> u64) -> Vec<Duration> {
        let mut away = Duration::ZERO;
        let attempt = |number| {
            away += pause(away, random(number));
            away
        };
        (0..1000).map(attempt).take_while(|away| *away < 3 * SHORT_OUTAGE).collect()
    }

    #[test]
    fn pause_outage_below_a_minute_retries_within_a_second() {
        for random in [0, u64::MAX / 3, u64::MAX] {
            for pair in attempts(|_| random).windows(2) {
                let bound = if pair[0] <= SHORT_OUTAGE { 1 } else { 3 };
                assert!(pair[1] - pair[0] + CONNECT_TIME <= Duration::from_secs(bound), "{pair:?}");
            }
        }
    }

    #[test]
    fn pause_simultaneous_loss_spreads_replica_reconnects() {
        for (back, longest) in [(20, MAX_PAUSE), (100, MAX_PAUSE_OF_LONG_OUTAGE)] {
            let back = Duration::from_secs(back);
            let first = |replica: u64| {
                let mix = |number: usize| {
                    let seed = (replica << 32 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
                };
                attempts(mix).into_iter().find(|attempt| *attempt >= back).expect("an attempt") - back
            };
            let mut tenths = [0; 10];
            for late in (0..1000).map(first) {
                tenths[(10 * late.as_millis() / (longest.as_millis() + 1)) as usize] += 1;
            }
            // In an eighth of the time, at most a third of all; at least one of a hundred in the last.
            assert!(tenths.iter().all(|count| *count < 333) && tenths[9] > 0, "{tenths:?}");
        }
    }

    #[test]
    fn others_are_back_exceeds_the_longest_pause_between_attempts() {
        for noticed_later in [Duration::ZERO, NOTICE_SKEW] {
            for pair in attempts(|_| u64::MAX).windows(2) {
                let own = pair[0].saturating_sub(noticed_later);
                assert!(pair[1] - pair[0] < peer_reconnect_grace(own), "{pair:?}");
            }
        }
    }
}
