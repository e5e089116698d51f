//! Limits log lines about frequent events.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Allows one log line in 10 seconds. Has the time of the last line and the number of lines suppressed since.
#[derive(Default)]
pub struct LogLimiter(Mutex<(Option<Instant>, u64)>);

impl LogLimiter {
    /// Returns the number of lines suppressed since the last one, or `None` if this line has to be suppressed.
    pub fn allow(&self) -> Option<u64> {
        const INTERVAL: Duration = Duration::from_secs(10);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, suppressed) = *state;
        if last.is_some_and(|last| last.elapsed() < INTERVAL) {
            state.1 += 1;
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_limiter_second_line_within_ten_seconds_is_suppressed_and_counted() {
        let log_limiter = LogLimiter::default();
        assert_eq!(log_limiter.allow(), Some(0));
        assert_eq!((log_limiter.allow(), log_limiter.allow()), (None, None));
        log_limiter.0.lock().expect("no panic").0 = Instant::now().checked_sub(Duration::from_secs(11));
        assert_eq!(log_limiter.allow(), Some(2));
    }
}
