//! The election task: acquires and renews the Lease, and publishes the claim.

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::decision::{Decision, decide};
use super::lease::{LeaseStore, record};
use super::{Claim, Leadership};
use crate::cluster::CallError;

/// How an election ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionOutcome {
    /// It was asked to stop, and has released the lease if it held it.
    Released,
    /// The lease was lost: this process may do nothing more.
    Lost,
}

/// One process's part in an election.
pub struct Election {
    store: LeaseStore,
    claim: watch::Sender<Claim>,
    seen: Option<(String, Instant)>,
}

impl Election {
    /// Takes part, once [`Election::run`] is polled.
    pub fn new(store: LeaseStore) -> (Election, Leadership) {
        let (claim, receiver) = watch::channel(None);
        (Election { store, claim, seen: None }, Leadership::Elected(receiver))
    }

    /// Runs until `stop` is true, or until a lease that was held is lost.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> ElectionOutcome {
        loop {
            let asked_to_stop = stop.wait_for(|stop| *stop);
            tokio::select! {
                _ = asked_to_stop => break,
                lost = self.run_once() => if lost { return ElectionOutcome::Lost },
            }
        }
        self.claim.send_replace(None);
        match self.store.release().await {
            Ok(true) => tracing::info!("the lease is given back"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the lease could not be given back; it runs out by itself"),
        }
        ElectionOutcome::Released
    }

    /// Tries once to acquire or renew the lease, then pauses. Returns whether the lease was lost.
    async fn run_once(&mut self) -> bool {
        let deadline = *self.claim.borrow();
        let turn = match deadline {
            // Whatever hangs, the claim ends when it said it would.
            Some(deadline) => timeout_at(deadline, self.acquire_or_renew()).await,
            None => Ok(self.acquire_or_renew().await),
        };
        match turn {
            Ok(Ok(Decision::Yield { until })) if deadline.is_none() => {
                let soon = Instant::now() + self.store.timing().retry;
                sleep_until(until.min(soon).max(Instant::now())).await;
                return false;
            }
            Ok(Ok(Decision::Yield { .. })) => {
                tracing::error!("somebody else has taken the lease");
                self.claim.send_replace(None);
                return true;
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.is_conflict() => tracing::info!("the lease has changed meanwhile"),
            Ok(Err(error)) => tracing::warn!(%error, "the lease could not be read or written"),
            Err(_) => {}
        }
        if deadline.is_some() && self.claim.borrow().is_none_or(|until| Instant::now() >= until) {
            tracing::error!("the lease could not be renewed in time");
            self.claim.send_replace(None);
            return true;
        }
        sleep(self.store.timing().retry).await;
        false
    }

    async fn acquire_or_renew(&mut self) -> Result<Decision, CallError> {
        let timing = self.store.timing();
        let lease = self.store.read().await?;
        let now = Instant::now();
        let record = lease.as_ref().map(|lease| record(lease, timing.lease));
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
        // Others count from when the write arrived; this process counts from before it was sent.
        self.store.acquire(lease).await?;
        if self.claim.send_replace(Some(now + timing.renew_deadline)).is_none() {
            tracing::info!(identity = self.store.identity(), "this process leads");
        }
        Ok(decision)
    }
}
