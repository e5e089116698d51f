//! What may come a thousand times a second, and is said once in ten seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Has something that may come a thousand times a second said once in ten.
#[derive(Default)]
pub struct LogLimiter(Mutex<(Option<Instant>, u64)>);

impl LogLimiter {
    /// How often nothing was said since the last time, if now is the time to say it again.
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
    fn what_comes_often_is_said_seldom() {
        let log_limiter = LogLimiter::default();
        assert_eq!(log_limiter.allow(), Some(0));
        assert_eq!((log_limiter.allow(), log_limiter.allow()), (None, None));
        log_limiter.0.lock().expect("no panic").0 = Instant::now().checked_sub(Duration::from_secs(11));
        assert_eq!(log_limiter.allow(), Some(2));
    }
}
