//! Time in ticks of 100 ms since the hub started. A tick takes 4 bytes instead of the 16 of an `Instant`, and lasts for 13
//! years.

use std::time::{Duration, Instant};

/// A point in time, in ticks since the start of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// The duration of a tick.
    pub const LENGTH: Duration = Duration::from_millis(100);

    /// Returns the time `ticks` ticks later, at most the latest one.
    pub fn after(self, ticks: u32) -> Tick {
        Tick(self.0.saturating_add(ticks))
    }

    /// Returns a duration in ticks, rounded up, so that no timeout fires early.
    pub fn ticks_in(duration: Duration) -> u32 {
        u32::try_from(duration.as_millis().div_ceil(Tick::LENGTH.as_millis())).unwrap_or(u32::MAX)
    }
}

/// The clock of the ticks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Creates a clock that starts now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Returns the current tick.
    pub fn now(&self) -> Tick {
        Tick(u32::try_from(self.start.elapsed().as_millis() / Tick::LENGTH.as_millis()).unwrap_or(u32::MAX))
    }

    /// Returns the time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the time until a tick begins, or zero if it has begun.
    pub fn time_until(&self, tick: Tick) -> Duration {
        (Tick::LENGTH * tick.0).saturating_sub(self.start.elapsed())
    }
}
