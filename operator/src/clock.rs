//! The wall clock in whole seconds, the resolution of times in the API server.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

/// A wall clock. Tests replace it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Creates a clock that `read` reads.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(read))
    }

    /// Returns the time, in whole seconds.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_second((self.0)().as_second()).unwrap_or_default()
    }
}

impl Default for Clock {
    /// Returns the system clock.
    fn default() -> Clock {
        Clock::new(Timestamp::now)
    }
}
