//! Delay after a failed reconcile. It doubles for each failure in a row of a resource, with jitter. No I/O.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::core::DynamicObject;
use kube::runtime::reflector::ObjectRef;

/// Maximum delay after the first failure, and minimum delay of a scheduled reconcile.
pub const MIN_DELAY: Duration = Duration::from_secs(1);

/// Maximum delay.
const MAX_DELAY: Duration = Duration::from_secs(300);

/// Number of failures in a row of each resource.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<ObjectRef<DynamicObject>, u32>>,
}

impl Backoff {
    /// Counts a failure and returns the delay before the next attempt.
    pub fn next(&self, hub: &ObjectRef<DynamicObject>) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(hub.clone()).or_insert(0);
        *count = count.saturating_add(1);
        // Each new `RandomState` has random keys, so the hash is a random number.
        delay(*count, RandomState::new().hash_one(hub))
    }

    /// Returns the number of failures in a row.
    pub fn failures(&self, hub: &ObjectRef<DynamicObject>) -> u32 {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).get(hub).copied().unwrap_or_default()
    }

    /// Resets the failures of a resource that was reconciled or deleted.
    pub fn reset(&self, hub: &ObjectRef<DynamicObject>) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(hub);
    }
}

/// Returns a random delay between half of the doubled delay and the doubled delay, so that resources that failed together
/// are not retried together.
fn delay(failures: u32, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let max_delay = MIN_DELAY.saturating_mul(1 << doublings).min(MAX_DELAY);
    let half = max_delay / 2;
    let permille = u32::try_from(random % 1001).unwrap_or_default();
    half + half * permille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use notification_hub_crds::NotificationHub;

    #[test]
    fn backoff_delay_doubles_up_to_the_maximum() {
        let longest = u64::MAX / 1001 * 1001 - 1;
        assert_eq!(longest % 1001, 1000);
        let whole = |failures| delay(failures, longest).as_secs();
        assert_eq!([1, 2, 3, 9, 10, u32::MAX].map(whole), [1, 2, 4, 256, 300, 300]);
        assert_eq!(delay(3, 0), Duration::from_secs(2), "the minimum is half of the delay");
    }

    #[test]
    fn backoff_counts_failures_per_resource() {
        let backoff = Backoff::default();
        let named = |name| ObjectRef::<NotificationHub>::new(name).erase();
        let (a, b) = (named("a"), named("b"));
        (0..20).for_each(|_| _ = backoff.next(&a));
        assert!(backoff.next(&a) > Duration::from_secs(100));
        assert!(backoff.next(&b) <= MIN_DELAY);
        backoff.reset(&a);
        assert!(backoff.next(&a) <= MIN_DELAY);
    }
}
