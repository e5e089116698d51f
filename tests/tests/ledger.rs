//! Twenty thousand pushes through a queue, and a hub that is killed twenty times on the way: nothing that can be made up for
//! is lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use notification_hub_tests::azurite::Azurite;
use notification_hub_tests::fleet::Fleet;
use notification_hub_tests::ledger::LedgerPush;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::storage_queue::StorageQueue;
use notification_hub_tests::{token, wait};
use serde_json::json;
use uuid::Uuid;

const PUSHES: usize = 20_000;
const KILLS: usize = 20;
const CLIENTS: usize = 40;

/// A hundred times: two to five minutes become one to three seconds.
const SPEED: u32 = 100;

/// Azurite slows down with what it holds.
const DEEPEST: usize = 400;

/// How many are put at once.
const BATCH: usize = 50;

/// How long a message can be on its way: what a killed hub had in hand is hidden for half a minute.
const LAG: Duration = Duration::from_secs(60);

/// Types that a `SyncVault` makes up for, and such that nothing makes up for.
const KINDS: [(u8, bool); 4] = [(7, true), (1, true), (11, false), (12, true)];

/// Pushes to clients in turn, as the .NET sender writes them.
struct Sender<'a> {
    queue: &'a StorageQueue,
    users: &'a [String],
    sent: Vec<LedgerPush>,
}

impl Sender<'_> {
    /// Puts so many on the queue, once it is shallow enough.
    fn send(&mut self, count: usize) -> Result<()> {
        wait::until("the queue is shallow", LAG, || {
            let depth = self.queue.depth()?;
            ensure!(depth < DEEPEST, "{depth} messages");
            Ok(())
        })?;
        let mut texts = Vec::with_capacity(count);
        let mut pushes = Vec::with_capacity(count);
        for number in self.sent.len()..self.sent.len() + count {
            let client = number % self.users.len();
            let (kind, covered) = KINDS[(number / self.users.len()) % KINDS.len()];
            let id = Uuid::new_v4().to_string();
            let payload = json!({ "Id": id, "UserId": self.users[client], "RevisionDate": "2026-01-02T03:04:05Z" });
            texts.push(json!({ "Type": kind, "Payload": payload, "ContextId": id }).to_string());
            pushes.push(LedgerPush { id, client, covered, sent_at: Instant::now() });
        }
        self.queue.put(&texts)?;
        self.sent.extend(pushes);
        Ok(())
    }
}

#[test]
fn hub_killed_repeatedly_loses_only_uncovered_pushes_while_offline() -> Result<()> {
    // On disk: what it keeps in memory it sweeps for minutes, in which it answers nobody.
    let azurite = Azurite::start_on_disk()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let connection_string = azurite.connection_string(azurite.port());
    let mut hub = LocalHub::start(&format!(
        "source.kind = 'azure_queue'\nsource.azure_queue.connection_string = '{connection_string}'"
    ))?;
    let users: Vec<String> = (0..CLIENTS).map(|_| Uuid::new_v4().to_string()).collect();
    let token = |user: &String| hub.signer().sign(&token::user(user, &[], "ChromeBrowser", user));
    let tokens = users.iter().map(token).collect::<Result<Vec<_>>>()?;
    let fleet = Fleet::start(hub.public, tokens, SPEED);
    let everybody = |what: &str| {
        wait::until(what, Duration::from_secs(60), || {
            let ledger = fleet.ledger();
            let away = (0..CLIENTS).filter(|client| !ledger.is_connected(*client)).count();
            ensure!(away == 0, "{away} are away");
            Ok(())
        })
    };
    everybody("everybody is connected")?;

    let mut sender = Sender { queue: &queue, users: &users, sent: Vec::new() };
    for kill in 1..=KILLS {
        while sender.sent.len() < PUSHES * kill / (KILLS + 1) {
            sender.send(BATCH)?;
        }
        println!("kill {kill}: {} sent, {} heard, {:?}", sender.sent.len(), fleet.ledger().received(), queue.depth());
        hub.kill_and_restart()?;
    }
    // Users come back to those that have given up. From here on nothing is killed.
    fleet.restart_stopped_clients();
    everybody("everybody is back")?;
    let calm = sender.sent.len();
    while sender.sent.len() < PUSHES {
        sender.send(BATCH)?;
    }
    queue.wait_empty(Duration::from_secs(120))?;
    let (emptied, ledger) = (Instant::now(), || fleet.ledger());
    wait::until("everybody was told to sync after the last start", Duration::from_secs(60), || {
        let ledger = ledger();
        ensure!((0..CLIENTS).all(|client| ledger.last_sync(client).is_some_and(|sync| sync + LAG > emptied)));
        Ok(())
    })?;
    let last = sender.sent.last().map(|push| push.id.clone());
    wait::until("what was sent in calm has arrived", Duration::from_secs(30), || {
        let totals = ledger().totals(&sender.sent[calm..], Duration::ZERO);
        ensure!(totals.delivered == PUSHES - calm, "{last:?}: {totals}");
        Ok(())
    })?;

    let totals = ledger().totals(&sender.sent, LAG);
    println!("the ledger: {totals}");
    println!("of them in calm: {}", ledger().totals(&sender.sent[calm..], Duration::ZERO));
    ensure!(totals.lost_covered == 0 && totals.lost_connected == 0, "{totals}");
    ensure!(ledger().totals(&sender.sent[calm..], Duration::ZERO).duplicates == 0, "duplicates in calm");
    Ok(())
}
