//! Faults in the log: at once when they begin or change, then once a minute with their number, and when they are over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::azure::QueueError;

/// How often a fault that goes on is logged.
const AGAIN: Duration = Duration::from_secs(60);

/// The faults that go on, by what was being done.
#[derive(Default)]
pub(super) struct Faults(Mutex<HashMap<&'static str, Fault>>);

struct Fault {
    category: &'static str,
    began: Instant,
    logged: Instant,
    times: u64,
}

impl Faults {
    /// Logs a failure, unless its like was logged less than a minute ago.
    pub(super) fn failed(&self, doing: &'static str, error: &QueueError) {
        if let Some(times) = self.note(doing, error.category(), Instant::now()) {
            tracing::warn!(category = error.category(), times, "{doing} failed: {error}");
        }
    }

    /// Notes a success; it is logged if failures came before it.
    pub(super) fn works(&self, doing: &'static str) {
        let fault = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(doing);
        if let Some(fault) = fault {
            tracing::info!(times = fault.times, after = ?fault.began.elapsed(), "{doing} works again");
        }
    }

    /// Counts a failure; how often it has happened, if that is to be logged.
    fn note(&self, doing: &'static str, category: &'static str, now: Instant) -> Option<u64> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = Fault { category, began: now, logged: now, times: 0 };
        let fault = faults.entry(doing).or_insert(new);
        fault.times += 1;
        let due = fault.times == 1 || fault.category != category || now.duration_since(fault.logged) >= AGAIN;
        fault.category = category;
        due.then(|| {
            fault.logged = now;
            fault.times
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_logged_on_start_change_and_every_minute() {
        let (faults, begin) = (Faults::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(faults.note("receiving", "unreachable", at(0)), Some(1));
        assert_eq!(faults.note("receiving", "unreachable", at(59)), None);
        assert_eq!(faults.note("deleting", "unreachable", at(59)), Some(1));
        assert_eq!(faults.note("receiving", "refused", at(59)), Some(3));
        assert_eq!(faults.note("receiving", "refused", at(118)), None);
        assert_eq!(faults.note("receiving", "refused", at(119)), Some(5));
        faults.works("receiving");
        assert_eq!(faults.note("receiving", "refused", at(120)), Some(1));
    }
}
