//! Measures the queue: how many messages wait, and for how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::consumer::Consumer;
use crate::azure::{Queue, QueueError};
use crate::telemetry::Metrics;

/// How often: two requests each time.
const EVERY: Duration = Duration::from_secs(15);

/// Measures for ever.
pub(super) async fn measure(queue: Arc<Queue>, metrics: Arc<Metrics>, consumer: Arc<Consumer>) {
    const DOING: &str = "measuring the queue";
    let mut times = interval(EVERY);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        times.tick().await;
        match look(&queue, &metrics).await {
            Ok(()) => consumer.faults.works(DOING),
            Err(error) => consumer.faults.failed(DOING, &error),
        }
    }
}

async fn look(queue: &Queue, metrics: &Metrics) -> Result<(), QueueError> {
    metrics.queue_depth.set(i64::try_from(queue.depth().await?).unwrap_or(i64::MAX));
    metrics.queue_oldest_seconds.set(queue.oldest().await?.unwrap_or_default().as_secs_f64());
    Ok(())
}
