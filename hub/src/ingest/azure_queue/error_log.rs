//! Logs errors of queue operations: when they begin or change, then once a minute with their number, and when they end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::azure_storage::QueueError;

/// How often an ongoing error is logged.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);

/// The ongoing errors, by operation.
#[derive(Default)]
pub(super) struct ErrorLog(Mutex<HashMap<&'static str, OngoingError>>);

/// Consecutive errors of one operation.
struct OngoingError {
    category: &'static str,
    began: Instant,
    last_logged: Instant,
    times: u64,
}

impl ErrorLog {
    /// Logs an error of an operation, unless one of the same category was logged less than a minute ago.
    pub(super) fn record_error(&self, operation: &'static str, error: &QueueError) {
        if let Some(times) = self.count(operation, error.category(), Instant::now()) {
            tracing::warn!(operation, %error, category = error.category(), times, "queue operation failed");
        }
    }

    /// Records a success of an operation, and logs it if it ends ongoing errors.
    pub(super) fn record_success(&self, operation: &'static str) {
        let ongoing = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(operation);
        if let Some(ongoing) = ongoing {
            tracing::info!(operation, times = ongoing.times, after = ?ongoing.began.elapsed(), "queue operation recovered");
        }
    }

    /// Counts an error. Returns the number of consecutive errors of the operation, or `None` if this one must not be logged.
    fn count(&self, operation: &'static str, category: &'static str, now: Instant) -> Option<u64> {
        let mut ongoing_errors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = OngoingError { category, began: now, last_logged: now, times: 0 };
        let ongoing = ongoing_errors.entry(operation).or_insert(new);
        ongoing.times += 1;
        let is_due = ongoing.times == 1
            || ongoing.category != category
            || now.duration_since(ongoing.last_logged) >= REPEAT_INTERVAL;
        ongoing.category = category;
        is_due.then(|| {
            ongoing.last_logged = now;
            ongoing.times
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_log_error_is_logged_on_start_on_change_and_every_minute() {
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
