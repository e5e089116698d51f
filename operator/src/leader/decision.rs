//! Decides whether a process acquires or renews a Lease, or waits for its holder. `Leadership` tells whether it leads now. No I/O.
//!
//! Clocks of other machines are not used. A lease has expired if its record has not changed for its duration. This
//! process measures that time from when it first saw the record.

use std::time::Duration;

use tokio::time::Instant;

/// Times of the election.
#[derive(Clone, Copy, Debug)]
pub struct ElectionTiming {
    /// Time for which other processes wait after a renewal.
    pub lease_duration: Duration,
    /// Time for which a leader continues without a renewal. Shorter than the lease by at least the timeout of a call.
    pub renew_deadline: Duration,
    /// Pause between two attempts to acquire or renew.
    pub retry_period: Duration,
}

impl Default for ElectionTiming {
    fn default() -> Self {
        ElectionTiming {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Content of a Lease that the decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Identity of the holder. `None` or empty after a release.
    pub holder: Option<String>,
    /// Time after a renewal at which the lease expires.
    pub duration: Duration,
    /// `resourceVersion` of the Lease, which changes with every write.
    pub version: String,
}

/// Decision about the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Become the holder.
    Acquire,
    /// Extend the lease that this process holds.
    Renew,
    /// Leave the lease to another holder.
    Yield {
        /// When the lease expires if the holder does not renew it.
        until: Instant,
    },
}

/// Returns the decision of the process `me`, which first saw this record at `first_seen`.
pub fn decide(me: &str, record: Option<&LeaseRecord>, first_seen: Instant, now: Instant) -> Decision {
    let Some(record) = record else { return Decision::Acquire };
    let until = first_seen + record.duration;
    match record.holder.as_deref() {
        None | Some("") => Decision::Acquire,
        Some(holder) if holder == me => Decision::Renew,
        Some(_) if now >= until => Decision::Acquire,
        Some(_) => Decision::Yield { until },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decide_by_holder_and_age_matches_the_table() {
        let seen = Instant::now();
        let at = |seconds| seen + Duration::from_secs(seconds);
        let record = |holder: Option<&str>| LeaseRecord {
            holder: holder.map(str::to_owned),
            duration: Duration::from_secs(15),
            version: "1".to_owned(),
        };
        let table = [
            ("no lease yet", None, at(0), Decision::Acquire),
            ("released", Some(record(None)), at(0), Decision::Acquire),
            ("released by client-go", Some(record(Some(""))), at(0), Decision::Acquire),
            ("own lease", Some(record(Some("me"))), at(1), Decision::Renew),
            ("own lease, renewed long ago", Some(record(Some("me"))), at(60), Decision::Renew),
            ("lease of another holder, new", Some(record(Some("you"))), at(0), Decision::Yield { until: at(15) }),
            (
                "lease of another holder, about to expire",
                Some(record(Some("you"))),
                at(14),
                Decision::Yield { until: at(15) },
            ),
            ("lease of another holder, expired", Some(record(Some("you"))), at(15), Decision::Acquire),
        ];
        for (case, record, now, expected) in table {
            assert_eq!(decide("me", record.as_ref(), seen, now), expected, "{case}");
        }
    }

    #[test]
    fn timing_leader_stops_before_its_lease_expires() {
        let timing = ElectionTiming::default();
        assert!(timing.renew_deadline + crate::cluster::CALL_TIMEOUT <= timing.lease_duration);
        assert!(
            timing.retry_period + crate::cluster::CALL_TIMEOUT < timing.renew_deadline,
            "one call without an answer loses no lease"
        );
    }
}
