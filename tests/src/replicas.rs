//! Several hubs over one Redis behind a balancer.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use crate::account::Account;
use crate::balancer::Balancer;
use crate::ledger::{Excuse, Sums};
use crate::local_hub::LocalHub;
use crate::{http, wait};

/// How long a replica may take to come, to go, and to hear the others.
const SOON: Duration = Duration::from_secs(60);

/// How many times faster than the official clients' clocks those of these clients are.
const SPEED: u32 = 100;

/// Replicas, each with a number that stays its own.
pub struct Replicas {
    settings: Box<dyn Fn(usize) -> String>,
    hubs: Vec<(usize, LocalHub)>,
    next: usize,
    balancer: Balancer,
    senders: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Replicas {
    /// So many of them; `settings` by number.
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

    /// One more, as soon as it is ready.
    pub fn add(&mut self) -> Result<()> {
        let settings = (self.settings)(self.next);
        let hub = match self.hubs.first() {
            Some((_, first)) => LocalHub::beside(first, &settings),
            None => LocalHub::start(&settings),
        }?;
        wait::until("a replica is ready", SOON, || {
            ensure!(http::get(hub.admin, "/readyz")?.status == 200);
            Ok(())
        })?;
        self.hubs.push((self.next, hub));
        self.next += 1;
        self.lead();
        Ok(())
    }

    /// Ends the oldest one in good order: nobody new is led there, and it lets go of its clients.
    pub fn retire(&mut self) -> Result<()> {
        let (_, mut hub) = self.hubs.remove(0);
        self.lead();
        hub.process.signal(Signal::TERM)?;
        let status = hub.process.wait(SOON)?;
        ensure!(status.success(), "{status}: {}", hub.process.printed());
        Ok(())
    }

    /// Kills the oldest one, which comes back on the same ports.
    pub fn kill(&mut self) -> Result<()> {
        self.hubs.first_mut().context("there is none")?.1.kill_and_restart()
    }

    /// Those that there are.
    pub fn hubs(&self) -> impl Iterator<Item = &LocalHub> {
        self.hubs.iter().map(|(_, hub)| hub)
    }

    /// Waits until all of them see Redis there, or at least one of them does not.
    pub fn wait_redis(&self, there: bool) -> Result<()> {
        wait::until("the state of Redis is noticed", SOON, || {
            let up = self.hubs().map(|hub| hub.metric("notification_hub_backplane_up"));
            let all = up.collect::<Result<Vec<_>>>()?.into_iter().all(|up| up == 1.0);
            ensure!(all == there);
            Ok(())
        })
    }

    /// Lets so many clients come and pushes go on while `happen` lasts, and then closes the ledger. A push may be under way
    /// for that long.
    pub fn account(
        &mut self,
        clients: usize,
        (lag, excuse): (Duration, Excuse),
        happen: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<Sums> {
        let signer = self.hubs().next().context("there is no replica")?.signer();
        let account = Account::open(&signer, self.balancer.address, self.senders.clone(), clients, SPEED)?;
        happen(self)?;
        account.close(lag, excuse)
    }

    fn lead(&self) {
        self.balancer.lead_to(self.hubs().map(|hub| hub.public).collect());
        *self.senders.lock().unwrap_or_else(PoisonError::into_inner) = self.hubs().map(|hub| hub.internal).collect();
    }
}
