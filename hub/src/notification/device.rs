//! A client's device, as far as it has to be told from others.

use std::hash::{DefaultHasher, Hasher};
use std::num::NonZeroU64;

/// A digest of a device's id, which a token names in `device` and a push in `ContextId`: eight bytes instead of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device(NonZeroU64);

impl Device {
    /// The device with this id.
    pub fn of(id: &str) -> Device {
        let mut hasher = DefaultHasher::new();
        hasher.write(id.as_bytes());
        Device(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }
}
