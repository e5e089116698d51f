//! Several hubs over one Redis behind a balancer, with clients and pushes, and the ledger of both.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use uuid::Uuid;

use crate::balancer::Balancer;
use crate::fleet::Fleet;
use crate::ledger::{Excuse, Push, Sums};
use crate::local_hub::LocalHub;
use crate::traffic::{Sender, Traffic};
use crate::{http, token, wait};

/// How long a replica may take to come, to go, and to hear the others.
const SOON: Duration = Duration::from_secs(60);

/// How long after everything is well all is told: a gap is made up for within 30 seconds, and clients have to come back first.
const ALL_TOLD: Duration = Duration::from_secs(120);

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
        let organization = Uuid::new_v4().to_string();
        let users: Vec<String> = (0..clients).map(|_| Uuid::new_v4().to_string()).collect();
        let signer = self.hubs().next().context("there is no replica")?.signer();
        let member =
            |user: &String| signer.sign(&token::user(user, std::slice::from_ref(&organization), "ChromeBrowser", user));
        let tokens = users.iter().map(member).collect::<Result<Vec<_>>>()?;
        let fleet = Fleet::start(self.balancer.address, tokens, SPEED);
        let everybody = |what: &str| {
            wait::until(what, SOON, || {
                let log = fleet.log();
                let away = (0..clients).filter(|client| !log.is_open(*client)).count();
                ensure!(away == 0, "{away} are away");
                Ok(())
            })
        };
        everybody("everybody is connected")?;
        let sender =
            Sender { token: signer.sign(&token::internal())?, users, organization, replicas: self.senders.clone() };
        let traffic = Traffic::start(sender);
        let happened = happen(self);
        fleet.revive();
        let back = everybody("everybody is back");
        let pushes = traffic.stop()?;
        happened.and(back)?;
        let close = || fleet.log().close(&pushes, lag);
        let closed = wait::until("the ledger closes", ALL_TOLD, || {
            let sums = close();
            ensure!(sums.closes(excuse), "{sums}");
            Ok(())
        });
        println!("the ledger: {}", close());
        closed.with_context(|| missing(&pushes, &fleet))?;
        Ok(close())
    }

    fn lead(&self) {
        self.balancer.lead_to(self.hubs().map(|hub| hub.public).collect());
        *self.senders.lock().unwrap_or_else(PoisonError::into_inner) = self.hubs().map(|hub| hub.internal).collect();
    }
}

/// The first push that did not arrive, for whoever looks for the reason.
fn missing(pushes: &[Push], fleet: &Fleet) -> String {
    let log = fleet.log();
    let lost = pushes.iter().find(|push| {
        let sums = log.close(std::slice::from_ref(push), Duration::ZERO);
        sums.lost_covered + sums.lost_there > 0
    });
    lost.map(|push| format!("{push:?}: {}", log.of_client(push.client))).unwrap_or_default()
}
