//! Clients and pushes while something happens to the hubs, and the ledger of both in the end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::ledger::{Excuse, Push, Sums};
use crate::token::{self, Signer};
use crate::traffic::{Sender, Traffic};
use crate::wait;

/// How long it may take until everybody is connected.
const SOON: Duration = Duration::from_secs(120);

/// How long after everybody is back all is told: a gap is made up for within 30 seconds.
const ALL_TOLD: Duration = Duration::from_secs(120);

/// An open ledger.
pub struct Account {
    fleet: Fleet,
    traffic: Traffic,
    clients: usize,
}

impl Account {
    /// Lets so many clients connect to `hub`, whose clocks are `speed` times as fast as those of official ones, and pushes go
    /// on through `senders` from then on.
    pub fn open(
        signer: &Signer,
        hub: SocketAddr,
        senders: Arc<Mutex<Vec<SocketAddr>>>,
        clients: usize,
        speed: u32,
    ) -> Result<Self> {
        let organization = Uuid::new_v4().to_string();
        let users: Vec<String> = (0..clients).map(|_| Uuid::new_v4().to_string()).collect();
        let member =
            |user: &String| signer.sign(&token::user(user, std::slice::from_ref(&organization), "ChromeBrowser", user));
        let fleet = Fleet::start(hub, users.iter().map(member).collect::<Result<Vec<_>>>()?, speed);
        everybody("everybody is connected", &fleet, clients)?;
        let sender = Sender { token: signer.sign(&token::internal())?, users, organization, replicas: senders };
        Ok(Self { traffic: Traffic::start(sender), fleet, clients })
    }

    /// Lets nothing be pushed, or something again.
    pub fn pause(&self, whether: bool) {
        self.traffic.pause(whether);
    }

    /// How often clients were disconnected so far, all together.
    pub fn disconnects(&self) -> usize {
        self.fleet.log().disconnects()
    }

    /// How many pushes have arrived.
    pub fn heard(&self) -> usize {
        self.fleet.log().heard()
    }

    /// Waits until so many more have.
    pub fn go_on(&self, pushes: usize) -> Result<()> {
        let before = self.heard();
        wait::until("pushes go on", SOON, || {
            let heard = self.heard() - before;
            ensure!(heard >= pushes, "{heard} of {pushes}");
            Ok(())
        })
    }

    /// Waits until whoever is away has come back by itself.
    pub fn wait_back(&self) -> Result<()> {
        everybody("everybody is back", &self.fleet, self.clients)
    }

    /// Waits until everybody is back, stops the pushes, and waits until the ledger closes. A push may be under way for `lag`.
    pub fn close(self, lag: Duration, excuse: Excuse) -> Result<Sums> {
        self.fleet.revive();
        let back = self.wait_back();
        let pushes = self.traffic.stop()?;
        back?;
        let sums = || self.fleet.log().close(&pushes, lag);
        let closed = wait::until("the ledger closes", ALL_TOLD, || {
            let sums = sums();
            ensure!(sums.closes(excuse), "{sums}");
            Ok(())
        });
        println!("the ledger: {}", sums());
        closed.with_context(|| missing(&pushes, &self.fleet))?;
        Ok(sums())
    }
}

fn everybody(what: &str, fleet: &Fleet, clients: usize) -> Result<()> {
    wait::until(what, SOON, || {
        let log = fleet.log();
        let away = (0..clients).filter(|client| !log.is_open(*client)).count();
        ensure!(away == 0, "{away} are away");
        Ok(())
    })
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
