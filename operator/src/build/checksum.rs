//! A digest of what needs a rollout when it changes. Pure.

use aws_lc_rs::digest::{Context, SHA256};

use crate::model::Fingerprint;

/// Digest of the configuration and of the Secrets' content that it goes with, in hexadecimal. Half of it is enough to
/// tell changes apart.
pub(super) fn config_checksum(config: &str, secrets: &[Fingerprint]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(config.as_bytes());
    secrets.iter().for_each(|fingerprint| context.update(fingerprint.as_bytes()));
    context.finish().as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
