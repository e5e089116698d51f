//! Secrets that a spec refers to. No I/O.

use std::collections::BTreeSet;

use notification_hub_crds::v1alpha1::NotificationHubSpec;

/// Returns the names of the Secrets that a spec refers to. A change of one of them triggers a reconcile.
pub fn secrets(spec: &NotificationHubSpec) -> BTreeSet<&str> {
    let keys = spec.auth.signing_keys.as_ref().map(|keys| keys.secret_ref.name.as_str());
    let queue = spec.source.azure_queue.as_ref().and_then(|queue| queue.connection_string.as_ref());
    let redis = spec.backplane.as_ref().map(|backplane| &backplane.redis);
    let redis = redis.into_iter().flat_map(|redis| [Some(&redis.url), redis.password.as_ref(), redis.ca.as_ref()]);
    let secret_values = redis.flatten().chain(queue).map(|value| value.secret_key_ref.name.as_str());
    keys.into_iter().chain(secret_values).collect()
}
