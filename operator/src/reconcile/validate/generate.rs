//! Validates the rotation of the generated keys. No I/O.

use std::time::Duration;

use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::Generate;

use crate::conditions::{Diagnostic, Diagnostics};
use crate::keys::{PUBLICATION_LEAD_TIME, RotationPolicy};
use crate::model::duration;

/// Default time for which a key signs.
const DEFAULT_ROTATION_INTERVAL: Duration = Duration::from_secs(720 * 3600);

/// Default time for which tokens of the previous key are accepted.
const DEFAULT_OVERLAP: Duration = Duration::from_secs(24 * 3600);

/// Returns the rotation policy, or `None` if it is invalid.
pub(super) fn policy(spec: &Generate, diagnostics: &mut Diagnostics) -> Option<RotationPolicy> {
    let mut report = |field: &str, error: &str| {
        let message = format!("auth.generate.{field}: {error}");
        diagnostics.spec.push(Diagnostic { reason: Reason::InvalidSpec, message });
    };
    let mut parse = |field: &str, text: &Option<String>, default| {
        let parsed = text.as_deref().map_or(Some(default), duration::parse);
        if parsed.is_none() {
            report(field, "not a duration; give one such as 720h");
        }
        parsed
    };
    let rotation_interval = parse("rotationInterval", &spec.rotation_interval, DEFAULT_ROTATION_INTERVAL);
    let overlap = parse("overlap", &spec.overlap, DEFAULT_OVERLAP);
    let (rotation_interval, overlap) = rotation_interval.zip(overlap)?;
    if rotation_interval <= overlap.saturating_add(PUBLICATION_LEAD_TIME) {
        report("rotationInterval", "not longer than overlap (24h by default) and 3 minutes together; increase it");
        return None;
    }
    Some(RotationPolicy { algorithm: spec.algorithm.unwrap_or_default(), rotation_interval, overlap })
}
