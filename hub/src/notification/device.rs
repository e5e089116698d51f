//! A client's device, as far as it has to be told from others.

use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU64;

/// A digest of a device's id, which a token names in `device` and a push in `ContextId`: eight bytes instead of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device(NonZeroU64);

impl Device {
    /// The device with this id.
    pub fn from_id(id: &str) -> Device {
        let mut hasher = DefaultHasher::new();
        hasher.write(id.as_bytes());
        Device(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }

    /// The device with this digest, which another process may have made.
    pub fn from_digest(digest: NonZeroU64) -> Device {
        Device(digest)
    }

    /// The digest. Should another version of this hub make another one of the same id, then a client is told to sync once too
    /// often.
    pub fn digest(self) -> NonZeroU64 {
        self.0
    }
}
