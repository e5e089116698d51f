//! What may come a thousand times a second, and is said once in ten seconds.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Has something that may come a thousand times a second said once in ten.
#[derive(Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How often nothing was said since the last time, if now is the time to say it again.
    pub fn say(&self) -> Option<u64> {
        const EVERY: Duration = Duration::from_secs(10);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, unsaid) = *state;
        if said.is_some_and(|said| said.elapsed() < EVERY) {
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
        let seldom = Seldom::default();
        assert_eq!(seldom.say(), Some(0));
        assert_eq!((seldom.say(), seldom.say()), (None, None));
        seldom.0.lock().expect("no panic").0 = Instant::now().checked_sub(Duration::from_secs(11));
        assert_eq!(seldom.say(), Some(2));
    }
}
