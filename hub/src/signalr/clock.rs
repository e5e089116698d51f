//! Time in tenths of a second since the hub started: four bytes a connection instead of sixteen, good for 13 years.

use std::time::{Duration, Instant};

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// How long a tick is.
    pub const LENGTH: Duration = Duration::from_millis(100);

    /// The moment this many ticks later.
    pub fn after(self, ticks: u32) -> Tick {
        Tick(self.0.saturating_add(ticks))
    }

    /// A duration in ticks, rounded up: nothing happens too early.
    pub fn ticks_in(duration: Duration) -> u32 {
        u32::try_from(duration.as_millis().div_ceil(Tick::LENGTH.as_millis())).unwrap_or(u32::MAX)
    }
}

/// Counts ticks.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// The current tick.
    pub fn now(&self) -> Tick {
        Tick(u32::try_from(self.start.elapsed().as_millis() / Tick::LENGTH.as_millis()).unwrap_or(u32::MAX))
    }

    /// How long it is since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// How long it is from now until a tick begins.
    pub fn time_until(&self, tick: Tick) -> Duration {
        (Tick::LENGTH * tick.0).saturating_sub(self.start.elapsed())
    }
}
