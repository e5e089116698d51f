//! Several local hubs with one Redis, behind a balancer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::balancer::Balancer;
use crate::ledger::{LedgerTotals, LossTolerance};
use crate::local_hub::LocalHub;
use crate::workload::Workload;
use crate::{http, wait};

/// The timeout of a replica's start, its end, and a change of its link to Redis.
const REPLICA_TIMEOUT: Duration = Duration::from_secs(60);

/// The divisor of the reconnect delays of official clients.
const RECONNECT_SPEED: u32 = 100;

/// Running replicas, each with a number that is not reused.
pub struct Replicas {
    settings: Box<dyn Fn(usize) -> String>,
    hubs: Vec<(usize, LocalHub)>,
    next: usize,
    balancer: Balancer,
    senders: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Replicas {
    /// Starts `count` replicas. `settings` returns the settings of a replica by its number.
    pub fn start(count: usize, settings: impl Fn(usize) -> String + 'static) -> Result<Self> {
        let mut replicas = Self {
            settings: Box::new(settings),
            hubs: Vec::new(),
            next: 0,
            balancer: Balancer::start()?,
            senders: Arc::default(),
        };
        (0..count).try_for_each(|_| replicas.add())?;
        Ok(replicas)
    }

    /// Starts a further replica and routes to it once it is ready.
    pub fn add(&mut self) -> Result<()> {
        let settings = (self.settings)(self.next);
        let hub = match self.hubs.first() {
            Some((_, first)) => LocalHub::start_replica(first, &settings),
            None => LocalHub::start(&settings),
        }?;
        wait::until("a replica is ready", REPLICA_TIMEOUT, || {
            ensure!(http::get(hub.admin, "/readyz")?.status == 200);
            Ok(())
        })?;
        self.hubs.push((self.next, hub));
        self.next += 1;
        self.update_addresses();
        Ok(())
    }

    /// Removes the oldest replica from the balancer, drains it, and waits for its end.
    pub fn drain_oldest(&mut self) -> Result<()> {
        let (_, mut hub) = self.hubs.remove(0);
        self.update_addresses();
        hub.process.signal(Signal::TERM)?;
        let status = hub.process.wait(REPLICA_TIMEOUT)?;
        ensure!(status.success(), "{status}: {}", hub.process.printed());
        Ok(())
    }

    /// Kills the oldest replica and starts it again at the same ports.
    pub fn kill_oldest(&mut self) -> Result<()> {
        self.hubs.first_mut().context("no replica")?.1.kill_and_restart()
    }

    /// Returns the running replicas.
    pub fn hubs(&self) -> impl Iterator<Item = &LocalHub> {
        self.hubs.iter().map(|(_, hub)| hub)
    }

    /// Waits until all replicas are connected to Redis (`true`), or until at least one is not (`false`).
    pub fn wait_redis(&self, connected: bool) -> Result<()> {
        wait::until("the state of Redis is noticed", REPLICA_TIMEOUT, || {
            let up = self.hubs().map(|hub| hub.metric("notification_hub_backplane_up"));
            let all = up.collect::<Result<Vec<_>>>()?.into_iter().all(|up| up == 1.0);
            ensure!(all == connected);
            Ok(())
        })
    }

    /// Runs a workload while `events` runs, and returns its totals. See [`Workload::finish`].
    pub fn run_workload(
        &mut self,
        clients: usize,
        (max_delay, tolerance): (Duration, LossTolerance),
        events: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<LedgerTotals> {
        let signer = self.hubs().next().context("no replica")?.signer();
        let workload = Workload::start(&signer, self.balancer.address, self.senders.clone(), clients, RECONNECT_SPEED)?;
        events(self)?;
        workload.finish(max_delay, tolerance)
    }

    /// Updates the addresses of the balancer and the senders.
    fn update_addresses(&self) {
        self.balancer.set_servers(self.hubs().map(|hub| hub.public).collect());
        *self.senders.lock().unwrap_or_else(PoisonError::into_inner) = self.hubs().map(|hub| hub.internal).collect();
    }
}
