//! How many hubs begin a rollout at once that their specs have not asked for. No I/O.
//!
//! A new version of the operator has another default image, and may build pods differently: without a pace it would begin a
//! rollout of every hub at once, as would a Secret that all of them name. An edit of a spec, and the repair of an edited
//! Deployment, do not wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// After this time a rollout does not count any more, as it is stuck: the old pods of its hub go on serving. It is the default
/// of a Deployment's `progressDeadlineSeconds`.
const STUCK_TIMEOUT: Duration = Duration::from_secs(600);

/// The pause before a hub that has to wait is looked at again.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// The rollouts that nobody asked for and that are under way.
#[derive(Debug)]
pub struct RolloutLimiter {
    limit: usize,
    /// When they began, by the uid of their hub.
    started: Mutex<HashMap<String, Instant>>,
}

impl RolloutLimiter {
    /// Lets `limit` rollouts be under way at once.
    pub fn new(limit: usize) -> RolloutLimiter {
        RolloutLimiter { limit, started: Mutex::default() }
    }

    /// Counts the hub among those that are rolled out, unless there are as many as there may be.
    pub fn try_start(&self, uid: &str) -> bool {
        let (mut started, now) = (self.started.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        started.retain(|_, since| now.duration_since(*since) < STUCK_TIMEOUT);
        let may_start = started.contains_key(uid) || started.len() < self.limit;
        if may_start {
            started.entry(uid.to_owned()).or_insert(now);
        }
        may_start
    }

    /// The hub's rollout is over.
    pub fn finish(&self, uid: &str) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Default for RolloutLimiter {
    fn default() -> RolloutLimiter {
        RolloutLimiter::new(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rollout_pace_full_waits_until_one_is_over_or_stuck() {
        let limiter = RolloutLimiter::new(2);
        assert!(limiter.try_start("a") && limiter.try_start("b") && !limiter.try_start("c"));
        assert!(limiter.try_start("a"), "it has begun already");
        limiter.finish("b");
        assert!(limiter.try_start("c") && !limiter.try_start("d"));
        tokio::time::advance(STUCK_TIMEOUT).await;
        assert!(limiter.try_start("d") && limiter.try_start("e") && !limiter.try_start("f"));
    }
}
