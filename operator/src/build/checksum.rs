//! Checksum of the configuration and of the Secrets whose change needs a rollout. No I/O.

use aws_lc_rs::digest::{Context, SHA256};

use crate::model::Fingerprint;

/// Returns the first 16 bytes of the digest of the configuration and of the Secrets that pods read at their start, in
/// hexadecimal.
pub(super) fn config_checksum(config: &str, secrets: &[Fingerprint]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(config.as_bytes());
    secrets.iter().for_each(|fingerprint| context.update(fingerprint.as_bytes()));
    context.finish().as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
