//! Who missed what (`decisions.md` 5). Clients do not sync after a reconnect; one that missed pushes is sent a `SyncVault`.
//! Pure: moments in, reasons out.

mod memory;
mod recent;

pub use memory::{Memory, Newcomer, Reason};

/// Microseconds since the hub started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment so much later.
    pub fn after(self, duration: std::time::Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The moment so much earlier, not before the start.
    pub fn before(self, duration: std::time::Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
