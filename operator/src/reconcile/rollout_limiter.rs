//! Limits the number of concurrent rollouts that no change of a spec has caused. No I/O.
//!
//! A new version of the operator has another default image, and may build pods differently. Without a limit, it would
//! start a rollout of every hub at once. A change of a Secret that many hubs refer to would do so, too. A change of a spec
//! and the repair of an edited Deployment do not wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time after which a rollout is stuck and does not count towards the limit any more, because old pods keep serving.
/// Equals the default of `progressDeadlineSeconds` of a Deployment.
const STUCK_TIMEOUT: Duration = Duration::from_secs(600);

/// Delay before a hub with a waiting rollout is reconciled again.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(15);

/// Limits the rollouts that no change of a spec has caused.
#[derive(Debug)]
pub struct RolloutLimiter {
    limit: usize,
    /// Start times of the running rollouts, by the uid of their hub.
    started: Mutex<HashMap<String, Instant>>,
}

impl RolloutLimiter {
    /// Creates a limiter of `limit` concurrent rollouts.
    pub fn new(limit: usize) -> RolloutLimiter {
        RolloutLimiter { limit, started: Mutex::default() }
    }

    /// Starts the hub's rollout and returns `true`, or returns `false` if the limit is reached. Returns `true` for a
    /// running rollout.
    pub fn try_start(&self, uid: &str) -> bool {
        let (mut started, now) = (self.started.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        started.retain(|_, since| now.duration_since(*since) < STUCK_TIMEOUT);
        let may_start = started.contains_key(uid) || started.len() < self.limit;
        if may_start {
            started.entry(uid.to_owned()).or_insert(now);
        }
        may_start
    }

    /// Ends the hub's rollout.
    pub fn finish(&self, uid: &str) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// No limit, for dry runs and tests. The operator has `--max-concurrent-rollouts`.
impl Default for RolloutLimiter {
    fn default() -> RolloutLimiter {
        RolloutLimiter::new(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rollout_limiter_full_waits_for_finished_or_stuck_rollout() {
        let limiter = RolloutLimiter::new(2);
        assert!(limiter.try_start("a") && limiter.try_start("b") && !limiter.try_start("c"));
        assert!(limiter.try_start("a"), "a running rollout continues");
        limiter.finish("b");
        assert!(limiter.try_start("c") && !limiter.try_start("d"));
        tokio::time::advance(STUCK_TIMEOUT).await;
        assert!(limiter.try_start("d") && limiter.try_start("e") && !limiter.try_start("f"));
    }
}
