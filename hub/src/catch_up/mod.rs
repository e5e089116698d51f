//! Who missed what (`decisions.md` 5). Clients do not sync after a reconnect; one that missed pushes is sent a `SyncVault`.
//! Pure: moments in, reasons out.

mod horizon;
mod memory;
mod reason;
mod recent;

pub use horizon::Horizon;
pub use memory::Memory;
pub use reason::{Newcomer, Pushes, Reason};

/// Microseconds on one clock: since this process started, or Redis' own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment so much later.
    pub fn after(self, duration: std::time::Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The moment so much earlier, not before the clock began.
    pub fn before(self, duration: std::time::Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}
