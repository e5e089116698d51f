//! Measures the queue: how many messages wait, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::consumer::Consumer;
use crate::azure_storage::{Queue, QueueError};
use crate::observability::Metrics;

/// How often: two requests each time.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Measures for ever.
pub(super) async fn run(queue: Arc<Queue>, metrics: Arc<Metrics>, consumer: Arc<Consumer>) {
    const OPERATION: &str = "measuring the queue";
    let mut times = interval(SAMPLE_INTERVAL);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        match sample(&queue, &metrics).await {
            Ok(()) => consumer.error_log.record_success(OPERATION),
            Err(error) => consumer.error_log.record_error(OPERATION, &error),
        }
    }
}

async fn sample(queue: &Queue, metrics: &Metrics) -> Result<(), QueueError> {
    metrics.queue_depth.set(i64::try_from(queue.approximate_len().await?).unwrap_or(i64::MAX));
    metrics.queue_oldest_seconds.set(queue.oldest_age().await?.unwrap_or_default().as_secs_f64());
    Ok(())
}
