//! Polls the queue and sees each message to its end.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::content::{self, Content};
use super::faults::Faults;
use super::hand::{BATCH, HIDDEN, Hand, Held};
use super::pace::{Pace, after_faults};
use super::poison::Poison;
use super::undeleted::Undeleted;
use super::workers::{Task, Workers};
use crate::azure::{Queue, QueueError, Received};
use crate::backoff::random;
use crate::notification::Malformed;
use crate::source::Intake;
use crate::telemetry::Metrics;

/// A message that was received more often than this is logged; it is no fault of the message.
const MANY_TIMES: i64 = 20;

/// How many messages are deleted at the same time.
const DELETIONS: usize = 32;

/// How often it is tried to write a message to the poison queue, before it is left to come again.
const POISON_TRIES: usize = 3;

/// The watchdog: after how long without progress a request is given up and begun anew. Longer than its own timeouts.
const STALL: Duration = Duration::from_secs(90);

/// What all parts of the source share.
pub(super) struct Consumer {
    queue: Arc<Queue>,
    poison: Poison,
    metrics: Arc<Metrics>,
    undeleted: Undeleted,
    deletions: Semaphore,
    /// The messages in hand.
    pub(super) hand: Arc<Hand>,
    /// Where pushes go.
    pub(super) intake: Intake,
    /// What goes wrong.
    pub(super) faults: Faults,
}

impl Consumer {
    /// A consumer of a queue.
    pub(super) fn new(
        queue: Arc<Queue>,
        hand: Arc<Hand>,
        poison: Poison,
        intake: Intake,
        metrics: Arc<Metrics>,
    ) -> Consumer {
        let (undeleted, faults) = (Undeleted::default(), Faults::default());
        let deletions = Semaphore::new(DELETIONS);
        Consumer { queue, poison, metrics, undeleted, deletions, hand, intake, faults }
    }

    /// Receives a batch and sees to its messages; how many there were.
    async fn receive(self: &Arc<Self>, mut room: OwnedSemaphorePermit, workers: &Workers) -> Result<usize, QueueError> {
        let asked = Instant::now();
        let messages = self.queue.receive(BATCH, HIDDEN).await?;
        let count = messages.len();
        for message in messages {
            // More than were asked for do not come.
            let Some(place) = room.split(1) else { break };
            let held = self.hand.take(&message, asked, place);
            self.begin(message, held, workers);
        }
        Ok(count)
    }

    fn begin(self: &Arc<Self>, message: Received, held: Arc<Held>, workers: &Workers) {
        if message.times > MANY_TIMES {
            tracing::warn!(id = message.id, times = message.times, "a message was received many times");
        }
        if self.undeleted.take(&message.id) {
            tracing::debug!(id = message.id, "a message that was handed over before");
            tokio::spawn(self.clone().remove(held));
            return;
        }
        match content::read(&message.text) {
            Content::Push(notification) => {
                workers.give(Task { held, notification, since: std::time::Instant::now() });
            }
            Content::Blank => _ = tokio::spawn(self.clone().remove(held)),
            Content::Malformed(malformed) => _ = tokio::spawn(self.clone().bury(held, message.text, malformed)),
        }
    }

    /// Puts a message into the poison queue, and deletes it once it is there.
    async fn bury(self: Arc<Self>, held: Arc<Held>, text: String, malformed: Malformed) {
        const DOING: &str = "writing to the poison queue";
        let mut backoff = after_faults();
        for _ in 0..POISON_TRIES {
            match self.poison.put(&malformed.to_string(), &text).await {
                Ok(()) => {
                    self.faults.works(DOING);
                    self.metrics.pushed("poisoned", None);
                    tracing::warn!(id = held.id, %malformed, "a message went to the poison queue");
                    return self.remove(held).await;
                }
                Err(error) => self.faults.failed(DOING, &error),
            }
            sleep(backoff.pause(random())).await;
        }
    }

    /// Deletes a message that is done with, however long that takes.
    pub(super) async fn remove(self: Arc<Self>, held: Arc<Held>) {
        const DOING: &str = "deleting messages";
        let mut backoff = after_faults();
        loop {
            let result = match self.deletions.acquire().await {
                Ok(_turn) => held.delete().await,
                // It is never closed.
                Err(_) => return,
            };
            match result {
                Ok(()) => return self.faults.works(DOING),
                Err(QueueError::Lost { code }) => {
                    tracing::debug!(id = held.id, code, "a message was gone before it was deleted");
                    break;
                }
                Err(error) => self.faults.failed(DOING, &error),
            }
            if held.is_lost() {
                break;
            }
            sleep(backoff.pause(random())).await;
        }
        // If it is still there, it comes again, and its clients have had it.
        self.undeleted.remember(&held.id);
    }
}

/// Polls until `end`, while `may_receive` says so. What is received is given to the workers and to tasks of its own, and
/// outlasts this.
pub(super) async fn poll(
    consumer: &Arc<Consumer>,
    workers: Workers,
    mut may_receive: watch::Receiver<bool>,
    end: impl Future<Output = ()>,
) {
    const DOING: &str = "receiving messages";
    let mut end = pin!(end);
    let (mut pace, mut backoff) = (Pace::default(), after_faults());
    loop {
        let room = tokio::select! {
            biased;
            () = &mut end => return,
            room = timeout(STALL, consumer.hand.room()) => room,
        };
        let room = match room {
            Ok(Some(room)) => room,
            Ok(None) => return,
            Err(_) => {
                tracing::error!(in_hand = consumer.hand.len(), "messages are neither handed over nor deleted");
                continue;
            }
        };
        // While other replicas can't be reached, what is in hand is enough; while it is another hub's turn, too.
        tokio::select! {
            () = &mut end => return,
            () = consumer.intake.ready() => {}
        }
        tokio::select! {
            () = &mut end => return,
            turn = may_receive.wait_for(|may| *may) => if turn.is_err() { return },
        }
        // A request under way is not given up at the end: what it brings would be hidden from everybody for a while.
        let pause = match timeout(STALL, consumer.receive(room, &workers)).await {
            Ok(Ok(count)) => {
                consumer.faults.works(DOING);
                backoff.reset();
                if count > 0 { pace.busy() } else { pace.idle() }
            }
            Ok(Err(error)) => {
                consumer.faults.failed(DOING, &error);
                backoff.pause(random())
            }
            Err(_) => {
                tracing::error!(seconds = STALL.as_secs(), "a request to the queue made no progress: begun anew");
                backoff.pause(random())
            }
        };
        tokio::select! {
            () = &mut end => return,
            () = sleep(pause) => {}
        }
    }
}
