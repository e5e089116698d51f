//! Logs and metrics.

mod counters;
pub mod error_chain;
mod log_limiter;
mod log_writer;
mod logs;
mod metrics;

pub use counters::LabeledCounters;
pub use log_limiter::LogLimiter;
pub use logs::{LogLevel, LogTarget, flush_logs, start_logs};
pub use metrics::{Metrics, ShutdownPhase};
