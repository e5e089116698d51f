//! Delays between attempts to connect to Redis. The `subscriber` and the `publisher` task have one each. No I/O, apart from a source of random numbers.

use std::time::{Duration, Instant};

use crate::net::backoff::{random, with_jitter};

/// The shortest delay. Delays grow with the time since the outage began.
const MIN_DELAY: Duration = Duration::from_millis(100);

/// The longest delay during an outage of at most [`SHORT_OUTAGE`]. A replica is connected within a second after the outage.
const MAX_DELAY: Duration = Duration::from_millis(400);

/// The longest delay during a longer outage. A replica is connected within three seconds after the outage.
const MAX_DELAY_OF_LONG_OUTAGE: Duration = Duration::from_millis(2400);

/// The duration up to which an outage counts as short.
const SHORT_OUTAGE: Duration = Duration::from_secs(60);

/// The longest time between the moments at which two replicas notice an outage.
const NOTICE_SKEW: Duration = Duration::from_secs(10);

/// The minimum lifetime of a connection that ends an outage. Delays keep growing if Redis closes each connection at once.
const STABLE_CONNECTION: Duration = Duration::from_secs(1);

/// The time that connecting and subscribing take.
const CONNECT_AND_SUBSCRIBE_TIME: Duration = Duration::from_millis(600);

/// The delays between attempts to open one connection to Redis.
#[derive(Debug, Default)]
pub(super) struct ReconnectBackoff {
    /// The beginning of the current outage.
    outage_start: Option<Instant>,
    connected: Option<Instant>,
}

impl ReconnectBackoff {
    /// Returns the delay after a failed attempt or a lost connection.
    pub(super) fn next_delay(&mut self) -> Duration {
        if self.connected.take().is_some_and(|since| since.elapsed() >= STABLE_CONNECTION) {
            self.outage_start = None;
        }
        reconnect_delay(self.outage_start.get_or_insert_with(Instant::now).elapsed(), random())
    }

    /// Records that the connection is up.
    pub(super) fn on_connected(&mut self) {
        self.connected.get_or_insert_with(Instant::now);
    }

    /// Returns the duration of the current outage, or `None` if there is none.
    pub(super) fn outage(&self) -> Option<Duration> {
        self.outage_start.filter(|_| self.connected.is_none()).map(|lost| lost.elapsed())
    }
}

/// Returns the delay after a failed attempt, at `outage` after the outage began. Half of the delay is jitter (`random`, any
/// `u64`): replicas that lost Redis at the same time reconnect at different times.
pub(super) fn reconnect_delay(outage: Duration, random: u64) -> Duration {
    with_jitter(outage.max(MIN_DELAY).min(max_delay(outage)), random)
}

/// Returns the time after an outage within which other replicas may not be connected yet.
pub(super) fn peer_reconnect_grace(outage: Duration) -> Duration {
    max_delay(outage + NOTICE_SKEW) + CONNECT_AND_SUBSCRIBE_TIME
}

fn max_delay(outage: Duration) -> Duration {
    if outage <= SHORT_OUTAGE { MAX_DELAY } else { MAX_DELAY_OF_LONG_OUTAGE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the times of a replica's attempts, from the beginning of the outage.
    fn attempts(random: impl Fn(usize) -> u64) -> Vec<Duration> {
        let mut outage = Duration::ZERO;
        let attempt = |number| {
            outage += reconnect_delay(outage, random(number));
            outage
        };
        (0..1000).map(attempt).take_while(|outage| *outage < 3 * SHORT_OUTAGE).collect()
    }

    #[test]
    fn reconnect_delay_outage_below_a_minute_retries_within_a_second() {
        for random in [0, u64::MAX / 3, u64::MAX] {
            for pair in attempts(|_| random).windows(2) {
                let bound = if pair[0] <= SHORT_OUTAGE { 1 } else { 3 };
                assert!(pair[1] - pair[0] + CONNECT_AND_SUBSCRIBE_TIME <= Duration::from_secs(bound), "{pair:?}");
            }
        }
    }

    #[test]
    fn reconnect_delay_simultaneous_loss_spreads_replica_reconnects() {
        for (outage, max_delay) in [(20, MAX_DELAY), (100, MAX_DELAY_OF_LONG_OUTAGE)] {
            let outage = Duration::from_secs(outage);
            let first = |replica: u64| {
                let mix = |number: usize| {
                    let seed = (replica << 32 | number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
                };
                attempts(mix).into_iter().find(|attempt| *attempt >= outage).expect("an attempt") - outage
            };
            let mut tenths = [0; 10];
            for late in (0..1000).map(first) {
                tenths[(10 * late.as_millis() / (max_delay.as_millis() + 1)) as usize] += 1;
            }
            // At most a third of the replicas reconnect in the same tenth of the longest delay, and some in the last tenth.
            assert!(tenths.iter().all(|count| *count < 333) && tenths[9] > 0, "{tenths:?}");
        }
    }

    #[test]
    fn peer_reconnect_grace_exceeds_the_longest_delay_between_attempts() {
        for noticed_later in [Duration::ZERO, NOTICE_SKEW] {
            for pair in attempts(|_| u64::MAX).windows(2) {
                let own = pair[0].saturating_sub(noticed_later);
                assert!(pair[1] - pair[0] < peer_reconnect_grace(own), "{pair:?}");
            }
        }
    }
}
