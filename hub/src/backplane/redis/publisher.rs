//! Publishes, in order: what Redis has not acknowledged is kept and published again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{sleep, timeout};

use super::backoff::{after_losses, others_are_back};
use super::dialer::{Dialer, Lost, PATIENCE, SILENCE};
use super::link::{Link, Side};
use crate::backoff::{Backoff, random};
use crate::telemetry::Metrics;

/// How many are published at once.
const BATCH: usize = 256;

/// Something to publish.
pub(super) struct Publish {
    /// Where.
    pub(super) channel: String,
    /// What.
    pub(super) bytes: Vec<u8>,
    /// When it was given.
    pub(super) since: Instant,
    /// Told once Redis has acknowledged it.
    pub(super) done: oneshot::Sender<()>,
    /// What it takes of the room for those that wait.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Publishes what comes through a queue.
pub(super) struct Publisher {
    /// What waits; bounded by the places that are given out.
    pub(super) queue: UnboundedReceiver<Publish>,
    pub(super) dialer: Dialer,
    pub(super) link: Arc<Link>,
    pub(super) metrics: Arc<Metrics>,
}

impl Publisher {
    /// Publishes until nobody can give anything any more.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut unacknowledged, mut away) = (after_losses(), VecDeque::new(), None::<Instant>);
        loop {
            let lost = match self.dialer.multiplexed().await {
                Ok(connection) => {
                    // What was kept is for replicas that have to listen again first: nobody else would publish it to them.
                    if let Some(away) = away {
                        sleep(others_are_back(away.elapsed())).await;
                    }
                    match self.serve(connection, &mut unacknowledged, &mut backoff, &mut away).await {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
                Err(lost) => lost,
            };
            away.get_or_insert_with(Instant::now);
            self.link.fails(Side::Publishing, &lost.to_string());
            sleep(backoff.pause(random())).await;
        }
    }

    async fn serve(
        &mut self,
        mut connection: MultiplexedConnection,
        unacknowledged: &mut VecDeque<Publish>,
        backoff: &mut Backoff,
        away: &mut Option<Instant>,
    ) -> Result<(), Lost> {
        if unacknowledged.is_empty() {
            ping(&mut connection).await?;
        }
        loop {
            publish(&mut connection, unacknowledged, &self.metrics).await?;
            self.link.works(Side::Publishing);
            backoff.reset();
            *away = None;
            let mut fresh = Vec::new();
            match timeout(SILENCE, self.queue.recv_many(&mut fresh, BATCH)).await {
                Ok(0) => return Ok(()),
                Ok(_) => unacknowledged.extend(fresh),
                Err(_) => ping(&mut connection).await?,
            }
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> Result<(), Lost> {
    let _: Value = timeout(PATIENCE, redis::cmd("PING").query_async(connection)).await??;
    Ok(())
}

/// Publishes all that waits, and keeps what Redis refuses.
async fn publish(
    connection: &mut MultiplexedConnection,
    waiting: &mut VecDeque<Publish>,
    metrics: &Metrics,
) -> Result<(), Lost> {
    if waiting.is_empty() {
        return Ok(());
    }
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    for publish in waiting.iter() {
        pipe.cmd("PUBLISH").arg(&publish.channel).arg(&publish.bytes[..]);
    }
    let results: Vec<RedisResult<Value>> = timeout(PATIENCE, pipe.query_async(connection)).await??;
    let mut refused = None;
    let mut kept = VecDeque::new();
    // Should there be fewer answers than questions, what lacks one is published again.
    let mut results = results.into_iter();
    for publish in waiting.drain(..) {
        match results.next() {
            Some(Ok(_)) => {
                metrics.backplane_seconds.observe(publish.since.elapsed().as_secs_f64());
                // Who does not wait any more need not know.
                let _ = publish.done.send(());
            }
            other => {
                refused = other.and_then(Result::err).or(refused);
                kept.push_back(publish);
            }
        }
    }
    *waiting = kept;
    match refused {
        Some(error) => Err(error.into()),
        None if waiting.is_empty() => Ok(()),
        None => Err(Lost::Ended),
    }
}
