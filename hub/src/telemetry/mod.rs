//! What a hub tells of itself: logs and metrics.

mod counters;
mod log_writer;
mod logs;
mod metrics;
mod seldom;

pub use counters::Counters;
pub use logs::{LogLevel, LogTo, flush_logs, start_logs};
pub use metrics::{Metrics, Phase};
pub use seldom::Seldom;
