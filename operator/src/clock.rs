//! The wall clock, in whole seconds, as the API server stores times.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

/// A clock of the calendar.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock that `read` reads.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Clock {
        Clock(Arc::new(read))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_second((self.0)().as_second()).unwrap_or_default()
    }
}

impl Default for Clock {
    /// The machine's.
    fn default() -> Clock {
        Clock::new(Timestamp::now)
    }
}
