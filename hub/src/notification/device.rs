//! The identity of a client's device. No I/O.

use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU64;

/// A digest of the id of a device, which is in the claim `device` of a token and in `ContextId` of a push. It has eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device(NonZeroU64);

impl Device {
    /// Creates the digest of a device id.
    pub fn from_id(id: &str) -> Device {
        let mut hasher = DefaultHasher::new();
        hasher.write(id.as_bytes());
        Device(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }

    /// Creates a device from a digest, which may come from another process.
    pub fn from_digest(digest: NonZeroU64) -> Device {
        Device(digest)
    }

    /// Returns the digest. Another version of the hub may compute another digest for the same id; then a client gets one
    /// `SyncVault` more than needed.
    pub fn digest(self) -> NonZeroU64 {
        self.0
    }
}
