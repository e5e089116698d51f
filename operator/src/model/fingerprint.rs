//! Fingerprint that tells two contents of a Secret apart and reveals nothing else. No I/O.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// A digest of a Secret's content.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Returns the fingerprint of a content.
    pub fn from_content(content: &[u8]) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, content).as_ref());
        Fingerprint(bytes)
    }

    /// Its bytes, for a digest of more.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}
