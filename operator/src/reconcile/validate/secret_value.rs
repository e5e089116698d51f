//! Looks up a value that a spec refers to in a Secret. No I/O.

use k8s_openapi::ByteString;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::SecretValue;

use crate::conditions::{Diagnostic, Diagnostics};
use crate::reconcile::dereference::Secrets;

/// Returns the content that the field `path` refers to. Reports a missing or empty entry and returns `None`.
pub(super) fn content<'a>(
    path: &str,
    value: &SecretValue,
    secrets: &'a Secrets,
    diagnostics: &mut Diagnostics,
) -> Option<&'a [u8]> {
    let (name, key) = (&value.secret_key_ref.name, &value.secret_key_ref.key);
    let mut report = |reason, error: String| {
        diagnostics.references.push(Diagnostic { reason, message: format!("{path}: Secret {name}{error}") });
        None
    };
    let Some(secret) = secrets.get(name) else {
        return report(Reason::SecretNotFound, " does not exist".to_owned());
    };
    match secret.data.as_ref().and_then(|data| data.get(key)) {
        None => report(Reason::SecretEntryMissing, format!(" has no entry {key}")),
        Some(ByteString(content)) if content.trim_ascii().is_empty() => {
            report(Reason::SecretEntryMissing, format!(", entry {key}: empty"))
        }
        Some(ByteString(content)) => Some(content),
    }
}
