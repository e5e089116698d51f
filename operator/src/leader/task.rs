//! The election task: acquires and renews the Lease, and publishes the deadline of this process's leadership.

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::decision::{Decision, decide};
use super::lease::{LeaseStore, record};
use super::{Leadership, LeadershipDeadline};
use crate::cluster::CallError;

/// Outcome of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionOutcome {
    /// The election was stopped. The lease is released if this process held it.
    Released,
    /// The lease was lost. This process must not write any more.
    Lost,
}

/// Participation of this process in the election.
pub struct Election {
    store: LeaseStore,
    deadline: watch::Sender<LeadershipDeadline>,
    /// Version of the last record, and when this process first saw it.
    seen: Option<(String, Instant)>,
}

impl Election {
    /// Creates the election, which [`Election::run`] runs, and the leadership that it decides.
    pub fn new(store: LeaseStore) -> (Election, Leadership) {
        let (deadline, receiver) = watch::channel(None);
        (Election { store, deadline, seen: None }, Leadership::Elected(receiver))
    }

    /// Runs until `stop` is true, or until a lease that was held is lost.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> ElectionOutcome {
        loop {
            let stopped = stop.wait_for(|stop| *stop);
            tokio::select! {
                _ = stopped => break,
                lost = self.run_once() => if lost { return ElectionOutcome::Lost },
            }
        }
        self.deadline.send_replace(None);
        match self.store.release().await {
            Ok(true) => tracing::info!("lease released"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "cannot release the lease; it expires by itself"),
        }
        ElectionOutcome::Released
    }

    /// Tries once to acquire or renew the lease, then pauses. Returns whether the lease was lost.
    async fn run_once(&mut self) -> bool {
        let deadline = *self.deadline.borrow();
        let attempt = match deadline {
            // A call without an answer does not extend the leadership.
            Some(deadline) => timeout_at(deadline, self.acquire_or_renew()).await,
            None => Ok(self.acquire_or_renew().await),
        };
        match attempt {
            Ok(Ok(Decision::Yield { until })) if deadline.is_none() => {
                let next_attempt = Instant::now() + self.store.timing().retry_period;
                sleep_until(until.min(next_attempt).max(Instant::now())).await;
                return false;
            }
            Ok(Ok(Decision::Yield { .. })) => {
                tracing::error!("lease lost: another process holds it");
                self.deadline.send_replace(None);
                return true;
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.is_conflict() => tracing::info!("lease changed during the attempt"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot read or write the lease"),
            Err(_) => {}
        }
        if deadline.is_some() && self.deadline.borrow().is_none_or(|until| Instant::now() >= until) {
            tracing::error!("lease lost: it was not renewed in time");
            self.deadline.send_replace(None);
            return true;
        }
        sleep(self.store.timing().retry_period).await;
        false
    }

    /// Reads the Lease, and acquires or renews it unless another process holds it.
    async fn acquire_or_renew(&mut self) -> Result<Decision, CallError> {
        let timing = self.store.timing();
        let lease = self.store.read().await?;
        let now = Instant::now();
        let record = lease.as_ref().map(|lease| record(lease, timing.lease_duration));
        let first_seen = match (&record, &self.seen) {
            (Some(record), Some((version, at))) if *version == record.version => *at,
            (Some(record), _) => {
                self.seen = Some((record.version.clone(), now));
                now
            }
            (None, _) => now,
        };
        let decision = decide(self.store.identity(), record.as_ref(), first_seen, now);
        if matches!(decision, Decision::Yield { .. }) {
            return Ok(decision);
        }
        // This process counts from before the write is sent, others from when it arrives. So this process stops first.
        self.store.acquire(lease).await?;
        if self.deadline.send_replace(Some(now + timing.renew_deadline)).is_none() {
            tracing::info!(identity = self.store.identity(), "leadership acquired");
        }
        Ok(decision)
    }
}
