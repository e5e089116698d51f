//! Takes turns at a queue. Without a backplane a push has to be received by the hub that its clients are connected to: of
//! several hubs, such as the old and the new one of a rollout, one receives at a time. That one holds the only message of
//! another queue, hidden from the others, until it has let go of its clients.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::error_log::ErrorLog;
use super::poll_interval::error_backoff;
use crate::azure_storage::{Queue, QueueError, Received, TimeToLive};
use crate::net::backoff::random;

/// For how long the turn is held without a renewal: after a crash the next hub waits for so long.
const TURN_LEASE: Duration = Duration::from_secs(6);

/// How often it is renewed.
const RENEW_INTERVAL: Duration = Duration::from_secs(2);

/// How long a renewal may take: two fit into a turn, and a part of a third.
const RENEWAL_TIMEOUT: Duration = Duration::from_millis(1500);

/// How long it may take to ask for it, or to make it.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How often a hub that waits asks for it.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// After how many empty answers of an empty queue there is no turn any more: somebody has deleted it.
const RECREATE_AFTER_EMPTY: u32 = 20;

/// After how long it is tried again where the account lets nobody take turns.
const REFUSED_RETRY_DELAY: Duration = Duration::from_secs(60);

/// What is done, for the log.
const OPERATION: &str = "taking turns at the queue";

/// What the message says to people who look at it.
const MESSAGE_TEXT: &str = "The notification hub that holds this message receives from the queue. Do not delete it.";

/// The turns at a queue.
pub(super) struct Turns {
    queue: Queue,
    held: watch::Sender<bool>,
    error_log: ErrorLog,
}

impl Turns {
    /// The turns that this queue is for, of which none is held yet.
    pub(super) fn new(queue: Queue) -> Turns {
        Turns { queue, held: watch::Sender::new(false), error_log: ErrorLog::default() }
    }

    /// Tells whether this hub may receive.
    pub(super) fn may_receive(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    /// Takes a turn whenever it can, keeps it until `release`, and then gives it to the next hub.
    pub(super) async fn run(self, release: impl Future<Output = ()>) {
        let mut release = std::pin::pin!(release);
        loop {
            let (message, until) = tokio::select! {
                () = &mut release => return,
                taken = self.acquire() => taken,
            };
            tracing::info!("this hub receives from the queue");
            let kept = self.hold(message, until, &mut release).await;
            self.held.send_replace(false);
            match kept {
                Some(()) => return,
                None => tracing::warn!("the turn at the queue was lost: another hub has it, or somebody deleted it"),
            }
        }
    }

    /// Waits for the turn. Returns its message, and until when it is this hub's at least.
    async fn acquire(&self) -> (Received, Instant) {
        let (mut backoff, mut empty) = (error_backoff(), 0);
        loop {
            let asked = Instant::now();
            let pause = match with_deadline(asked + ASK_TIMEOUT, self.ask(&mut empty)).await {
                Ok(Some(message)) => {
                    self.error_log.record_success(OPERATION);
                    let until = asked + TURN_LEASE;
                    self.held.send_replace(Instant::now() < until);
                    return (message, until);
                }
                Ok(None) => {
                    self.error_log.record_success(OPERATION);
                    backoff.reset();
                    self.held.send_replace(false);
                    ASK_INTERVAL
                }
                Err(error @ QueueError::Refused { .. }) => {
                    self.error_log.record_error(OPERATION, &error);
                    // Nobody takes turns then: as good as it gets is to receive.
                    self.held.send_replace(true);
                    REFUSED_RETRY_DELAY
                }
                Err(error) => {
                    self.error_log.record_error(OPERATION, &error);
                    backoff.next_delay(random())
                }
            };
            sleep(pause).await;
        }
    }

    /// Asks for the turn once; makes it, if there is none yet. `empty` counts how often there seemed to be none.
    async fn ask(&self, empty: &mut u32) -> Result<Option<Received>, QueueError> {
        match self.queue.receive(1, TURN_LEASE).await {
            Ok(messages) if messages.is_empty() => {
                *empty = if self.queue.approximate_len().await? == 0 { *empty + 1 } else { 0 };
                if *empty > RECREATE_AFTER_EMPTY {
                    *empty = 0;
                    self.queue.send(MESSAGE_TEXT.to_owned(), TimeToLive::Unlimited).await?;
                }
                Ok(None)
            }
            Ok(messages) => Ok(messages.into_iter().next()),
            Err(QueueError::Missing) => {
                // Of several hubs that see this at once, one creates it.
                if self.queue.create().await? {
                    self.queue.send(MESSAGE_TEXT.to_owned(), TimeToLive::Unlimited).await?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps the turn, which is this hub's `until` then, until `release`, and gives it away. Returns `None` if it was lost before.
    async fn hold(
        &self,
        message: Received,
        mut until: Instant,
        release: &mut (impl Future<Output = ()> + Unpin),
    ) -> Option<()> {
        let Received { id, mut receipt, .. } = message;
        loop {
            let released = tokio::select! {
                () = &mut *release => true,
                () = sleep(RENEW_INTERVAL) => false,
            };
            let hidden_for = if released { Duration::ZERO } else { TURN_LEASE };
            let asked = Instant::now();
            // This hub has to know by the end of its turn whether it goes on.
            let end = if until > asked { until } else { asked + RENEWAL_TIMEOUT };
            let deadline = end.min(asked + RENEWAL_TIMEOUT);
            match with_deadline(deadline, self.queue.extend_visibility(&id, &receipt, hidden_for)).await {
                _ if released => return Some(()),
                Ok(renewed) => {
                    self.error_log.record_success(OPERATION);
                    (receipt, until) = (renewed, asked + TURN_LEASE);
                    self.held.send_replace(true);
                }
                Err(QueueError::LeaseLost { .. } | QueueError::Missing) => return None,
                Err(error) => self.error_log.record_error(OPERATION, &error),
            }
            if Instant::now() >= until {
                // Another hub may have it by now; if none has, the next renewal brings it back.
                self.held.send_replace(false);
            }
        }
    }
}

/// Returns the outcome of a request, or an error if there is none before a deadline.
async fn with_deadline<T>(
    deadline: Instant,
    request: impl Future<Output = Result<T, QueueError>>,
) -> Result<T, QueueError> {
    let late = |_| Err(QueueError::Unreachable("no answer in time".to_owned()));
    timeout_at(deadline, request).await.unwrap_or_else(late)
}
