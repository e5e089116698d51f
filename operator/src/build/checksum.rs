//! A digest of what needs a rollout when it changes. Pure.

use aws_lc_rs::digest::{SHA256, digest};

/// Digest of a text, in hexadecimal. Half of it is enough to tell changes apart.
pub(super) fn of(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
