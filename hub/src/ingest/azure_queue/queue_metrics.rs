//! Measures the queue: the number of messages, and how long the next one has waited.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::consumer::Consumer;
use crate::azure_storage::{Queue, QueueError};
use crate::observability::Metrics;

/// How often the queue is measured, with two requests each time.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(15);

/// Measures the queue until the task is aborted.
pub(super) async fn run(queue: Arc<Queue>, metrics: Arc<Metrics>, consumer: Arc<Consumer>) {
    const OPERATION: &str = "measure the queue";
    let mut ticks = interval(SAMPLE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sample(&queue, &metrics).await {
            Ok(()) => consumer.error_log.record_success(OPERATION),
            Err(error) => consumer.error_log.record_error(OPERATION, &error),
        }
    }
}

async fn sample(queue: &Queue, metrics: &Metrics) -> Result<(), QueueError> {
    metrics.queue_depth.set(i64::try_from(queue.approximate_len().await?).unwrap_or(i64::MAX));
    metrics.queue_oldest_message_age_seconds.set(queue.oldest_age().await?.unwrap_or_default().as_secs_f64());
    Ok(())
}
