//! Clients and pushes that run while a test changes the hubs. At the end a ledger accounts for every push.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::ledger::{LedgerPush, LedgerTotals, LossTolerance};
use crate::token::{self, Signer};
use crate::traffic::{PushSender, Traffic};
use crate::wait;

/// The maximum time until every client is connected, and until further pushes arrive.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(120);

/// The maximum time after the last reconnect until every push is accounted for. A gap of the backplane takes up to 30 seconds.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(120);

/// Running clients and senders.
pub struct Workload {
    fleet: Fleet,
    traffic: Traffic,
    clients: usize,
}

impl Workload {
    /// Connects clients to `hub`, then sends pushes through the addresses in `senders`. Clients reconnect `speed` times as fast
    /// as official ones.
    pub fn start(
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
        wait_connected("every client is connected", &fleet, clients)?;
        let sender = PushSender { token: signer.sign(&token::internal())?, users, organization, replicas: senders };
        Ok(Self { traffic: Traffic::start(sender), fleet, clients })
    }

    /// Pauses or resumes the pushes.
    pub fn set_paused(&self, paused: bool) {
        self.traffic.set_paused(paused);
    }

    /// Returns the number of disconnects of all clients.
    pub fn disconnects(&self) -> usize {
        self.fleet.ledger().disconnects()
    }

    /// Returns the number of pushes that clients received.
    pub fn received(&self) -> usize {
        self.fleet.ledger().received()
    }

    /// Waits until clients have received so many further pushes.
    pub fn wait_received(&self, pushes: usize) -> Result<()> {
        let before = self.received();
        wait::until("clients receive pushes", CONNECT_TIMEOUT, || {
            let received = self.received() - before;
            ensure!(received >= pushes, "{received} of {pushes}");
            Ok(())
        })
    }

    /// Waits until every client has reconnected by itself.
    pub fn wait_reconnected(&self) -> Result<()> {
        wait_connected("every client is connected again", &self.fleet, self.clients)
    }

    /// Waits until every client is connected, stops the pushes, and waits until all losses are tolerated. Returns the totals.
    /// A delivery may take `max_delay`.
    pub fn finish(self, max_delay: Duration, tolerance: LossTolerance) -> Result<LedgerTotals> {
        self.fleet.restart_stopped_clients();
        let reconnected = self.wait_reconnected();
        let pushes = self.traffic.stop()?;
        reconnected?;
        let totals = || self.fleet.ledger().totals(&pushes, max_delay);
        let accounted = wait::until("every push is accounted for", LEDGER_TIMEOUT, || {
            let totals = totals();
            ensure!(totals.is_tolerable(tolerance), "{totals}");
            Ok(())
        });
        println!("the ledger: {}", totals());
        accounted.with_context(|| first_lost(&pushes, &self.fleet))?;
        Ok(totals())
    }
}

fn wait_connected(what: &str, fleet: &Fleet, clients: usize) -> Result<()> {
    wait::until(what, CONNECT_TIMEOUT, || {
        let ledger = fleet.ledger();
        let disconnected = (0..clients).filter(|client| !ledger.is_connected(*client)).count();
        ensure!(disconnected == 0, "{disconnected} are not connected");
        Ok(())
    })
}

/// Describes the first push that is lost and the connections of its client. Empty if none is lost.
fn first_lost(pushes: &[LedgerPush], fleet: &Fleet) -> String {
    let ledger = fleet.ledger();
    let lost = pushes.iter().find(|push| {
        let totals = ledger.totals(std::slice::from_ref(push), Duration::ZERO);
        totals.lost_covered + totals.lost_connected > 0
    });
    lost.map(|push| format!("{push:?}: {}", ledger.describe_client(push.client))).unwrap_or_default()
}
