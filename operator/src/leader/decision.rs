//! Decides what to do about a Lease. No I/O.
//!
//! Clocks of other machines are not used. A lease has expired if it was not renewed for its duration, as measured by
//! this process since it first saw the record.

use std::time::Duration;

use tokio::time::Instant;

/// The times of an election.
#[derive(Clone, Copy, Debug)]
pub struct ElectionTiming {
    /// Time for which other processes wait after a renewal.
    pub lease: Duration,
    /// Time for which a leader continues without a renewal. Shorter than the lease by at least the timeout of a call.
    pub renew_deadline: Duration,
    /// Pause between two attempts.
    pub retry: Duration,
}

impl Default for ElectionTiming {
    fn default() -> Self {
        ElectionTiming {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A Lease as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Identity of the holder. `None` or empty after a release.
    pub holder: Option<String>,
    /// How long a renewal lasts.
    pub duration: Duration,
    /// Tells two records apart.
    pub version: String,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Take it.
    Acquire,
    /// Keep it.
    Renew,
    /// Leave it to its holder, until then at least.
    Yield {
        /// When it runs out, if it is not renewed.
        until: Instant,
    },
}

/// Decides for the process `me`, which first saw this record at `first_seen`.
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
            ("given back", Some(record(None)), at(0), Decision::Acquire),
            ("given back, as client-go does it", Some(record(Some(""))), at(0), Decision::Acquire),
            ("mine", Some(record(Some("me"))), at(1), Decision::Renew),
            ("mine, and long not renewed", Some(record(Some("me"))), at(60), Decision::Renew),
            ("another's, fresh", Some(record(Some("you"))), at(0), Decision::Yield { until: at(15) }),
            ("another's, nearly over", Some(record(Some("you"))), at(14), Decision::Yield { until: at(15) }),
            ("another's, over", Some(record(Some("you"))), at(15), Decision::Acquire),
        ];
        for (case, record, now, expected) in table {
            assert_eq!(decide("me", record.as_ref(), seen, now), expected, "{case}");
        }
    }

    #[test]
    fn timing_leader_stops_before_its_lease_expires() {
        let timing = ElectionTiming::default();
        assert!(timing.renew_deadline + crate::cluster::CALL_TIMEOUT <= timing.lease);
        assert!(timing.retry + crate::cluster::CALL_TIMEOUT < timing.renew_deadline, "one hanging call loses no lease");
    }
}
