//! Logs errors of the queue: when they begin or change, then once a minute with their number, and when they are over.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::azure_storage::QueueError;

/// How often an ongoing error is logged.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The ongoing errors, by operation.
#[derive(Default)]
pub(super) struct ErrorLog(Mutex<HashMap<&'static str, OngoingError>>);

struct OngoingError {
    category: &'static str,
    began: Instant,
    logged: Instant,
    times: u64,
}

impl ErrorLog {
    /// Logs an error, unless one of its category was logged less than a minute ago.
    pub(super) fn record_error(&self, doing: &'static str, error: &QueueError) {
        if let Some(times) = self.count(doing, error.category(), Instant::now()) {
            tracing::warn!(category = error.category(), times, "{doing} failed: {error}");
        }
    }

    /// Records a success, and logs it if it ends ongoing errors.
    pub(super) fn record_success(&self, doing: &'static str) {
        let ongoing = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(doing);
        if let Some(ongoing) = ongoing {
            tracing::info!(times = ongoing.times, after = ?ongoing.began.elapsed(), "{doing} works again");
        }
    }

    /// Counts an error. Returns how often it has happened, or `None` if it is not to be logged.
    fn count(&self, doing: &'static str, category: &'static str, now: Instant) -> Option<u64> {
        let mut error_log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = OngoingError { category, began: now, logged: now, times: 0 };
        let ongoing = error_log.entry(doing).or_insert(new);
        ongoing.times += 1;
        let due =
            ongoing.times == 1 || ongoing.category != category || now.duration_since(ongoing.logged) >= REPEAT_INTERVAL;
        ongoing.category = category;
        due.then(|| {
            ongoing.logged = now;
            ongoing.times
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_is_logged_on_start_change_and_every_minute() {
        let (error_log, begin) = (ErrorLog::default(), Instant::now());
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        assert_eq!(error_log.count("receiving", "unreachable", at(0)), Some(1));
        assert_eq!(error_log.count("receiving", "unreachable", at(59)), None);
        assert_eq!(error_log.count("deleting", "unreachable", at(59)), Some(1));
        assert_eq!(error_log.count("receiving", "refused", at(59)), Some(3));
        assert_eq!(error_log.count("receiving", "refused", at(118)), None);
        assert_eq!(error_log.count("receiving", "refused", at(119)), Some(5));
        error_log.record_success("receiving");
        assert_eq!(error_log.count("receiving", "refused", at(120)), Some(1));
    }
}
