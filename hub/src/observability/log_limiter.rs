//! Limits log lines about frequent events.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Allows one log line in ten seconds.
#[derive(Default)]
pub struct LogLimiter(Mutex<(Option<Instant>, u64)>);

impl LogLimiter {
    /// Returns how many lines were suppressed since the last one, or `None` if this one is to be suppressed.
    pub fn allow(&self) -> Option<u64> {
        const INTERVAL: Duration = Duration::from_secs(10);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, unsaid) = *state;
        if said.is_some_and(|said| said.elapsed() < INTERVAL) {
            state.1 += 1;
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn say_within_ten_seconds_is_suppressed_and_counted() {
        let log_limiter = LogLimiter::default();
        assert_eq!(log_limiter.allow(), Some(0));
        assert_eq!((log_limiter.allow(), log_limiter.allow()), (None, None));
        log_limiter.0.lock().expect("no panic").0 = Instant::now().checked_sub(Duration::from_secs(11));
        assert_eq!(log_limiter.allow(), Some(2));
    }
}
