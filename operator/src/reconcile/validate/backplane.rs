//! Validates the backplane, and the settings that need one. No I/O.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::{NotificationHubSpec, Redis as Spec, SecretValue};

use super::secret_value;
use crate::conditions::{Diagnostic, Diagnostics};
use crate::keys;
use crate::model::SecretEntry;
use crate::model::backplane::{Drain, Redis};
use crate::model::duration;
use crate::reconcile::dereference::Secrets;

/// Default drain duration of a pod.
const DEFAULT_DRAIN_DURATION: &str = "60s";

/// Default surge of a rollout. All new pods are ready before the first old one ends, so that no client reconnects to an
/// old one.
const DEFAULT_MAX_SURGE: &str = "100%";

/// Returns the drain duration and the surge of rollouts, or `None` if they are invalid. The CRD's rules check this too,
/// but a resource may be older than the rules.
pub(super) fn rollouts(spec: &NotificationHubSpec, diagnostics: &mut Diagnostics) -> Option<(Drain, IntOrString)> {
    let mut report = |message: &str| {
        diagnostics.spec.push(Diagnostic { reason: Reason::InvalidSpec, message: message.to_owned() });
    };
    if spec.backplane.is_none() && spec.drain.is_some() {
        report("drain: requires a backplane; set backplane or remove drain");
    }
    if spec.backplane.is_none() && spec.rollout.is_some() {
        report("rollout: requires a backplane; set backplane or remove rollout");
    }
    let drain = spec.drain.as_ref().and_then(|drain| drain.duration.as_deref()).unwrap_or(DEFAULT_DRAIN_DURATION);
    let max_surge = spec.rollout.as_ref().and_then(|rollout| rollout.max_surge.clone());
    let Some(value) = duration::parse(drain) else {
        report("drain.duration: not a duration; give one such as 90s");
        return None;
    };
    let max_surge = max_surge.unwrap_or_else(|| IntOrString::String(DEFAULT_MAX_SURGE.to_owned()));
    Some((Drain { text: drain.to_owned(), value }, max_surge))
}

/// Returns the settings of Redis, or `None` if a Secret that they need is missing or invalid.
pub(super) fn redis(spec: &Spec, secrets: &Secrets, diagnostics: &mut Diagnostics) -> Option<Redis> {
    let mut entry = |field: &str, value: &SecretValue, check: fn(&[u8]) -> Result<(), &'static str>| {
        let path = format!("backplane.redis.{field}");
        let content = secret_value::content(&path, value, secrets, diagnostics)?;
        if let Err(error) = check(content) {
            let (name, key) = (&value.secret_key_ref.name, &value.secret_key_ref.key);
            let message = format!("{path}: Secret {name}, entry {key}: {error}");
            diagnostics.references.push(Diagnostic { reason: Reason::SecretEntryInvalid, message });
            return None;
        }
        Some(SecretEntry::new(&value.secret_key_ref, content))
    };
    // All three are checked before the first `?`, so that every diagnostic is reported at once.
    let url = entry("url", &spec.url, check_url);
    let password = spec.password.as_ref().and_then(|value| entry("password", value, |_| Ok(())));
    let ca = spec.ca.as_ref().and_then(|value| entry("ca", value, keys::check_certificates));
    Some(Redis {
        url: url?,
        username: spec.username.clone(),
        password,
        ca,
        channel_prefix: spec.channel_prefix.clone(),
    })
}

/// Schemes of a Redis URL.
const SCHEMES: [&str; 4] = ["redis", "rediss", "redis+sentinel", "rediss+sentinel"];

/// Checks that a text may be a URL or a connection string of Redis. The hub checks it in detail.
fn check_url(content: &[u8]) -> Result<(), &'static str> {
    let text = std::str::from_utf8(content).map_err(|_| "not text")?;
    match text.trim().split_once("://") {
        // A connection string of StackExchange.Redis can have `://` in its password, behind a comma or an equals sign.
        Some((scheme, _)) if !scheme.contains([',', '=']) && !SCHEMES.contains(&scheme) => Err(
            "not a redis://, rediss://, redis+sentinel:// or rediss+sentinel:// URL, nor a StackExchange.Redis connection string",
        ),
        _ => Ok(()),
    }
}
