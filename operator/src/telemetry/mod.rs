//! What the process tells of itself: logs and metrics.

pub mod logging;
pub mod metrics;
