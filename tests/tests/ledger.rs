//! A hub is killed 20 times while 20,000 pushes pass through its queue. No covered push is lost.

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

/// The divisor of the reconnect delays: two to five minutes become one to three seconds.
const RECONNECT_SPEED: u32 = 100;

/// The maximum depth of the queue, because Azurite is slow with many messages.
const MAX_QUEUE_DEPTH: usize = 400;

/// The number of messages that are sent together.
const BATCH: usize = 50;

/// The maximum duration of a delivery. Messages that a killed hub had leased are hidden for 30 seconds.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Push types, each with whether a `SyncVault` makes up for it.
const PUSH_TYPES: [(u8, bool); 4] = [(7, true), (1, true), (11, false), (12, true)];

/// Sends pushes to clients in turn, as the .NET sender writes them.
struct Sender<'a> {
    queue: &'a StorageQueue,
    users: &'a [String],
    sent: Vec<LedgerPush>,
}

impl Sender<'_> {
    /// Sends `count` messages once the queue is below its maximum depth.
    fn send(&mut self, count: usize) -> Result<()> {
        wait::until("the queue is below its maximum depth", MAX_DELAY, || {
            let depth = self.queue.depth()?;
            ensure!(depth < MAX_QUEUE_DEPTH, "{depth} messages");
            Ok(())
        })?;
        let mut texts = Vec::with_capacity(count);
        let mut pushes = Vec::with_capacity(count);
        for number in self.sent.len()..self.sent.len() + count {
            let client = number % self.users.len();
            let (kind, covered) = PUSH_TYPES[(number / self.users.len()) % PUSH_TYPES.len()];
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
    // On disk, because an Azurite in memory blocks for minutes while it cleans up.
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
    let fleet = Fleet::start(hub.public, tokens, RECONNECT_SPEED);
    let wait_connected = |what: &str| {
        wait::until(what, Duration::from_secs(60), || {
            let ledger = fleet.ledger();
            let disconnected = (0..CLIENTS).filter(|client| !ledger.is_connected(*client)).count();
            ensure!(disconnected == 0, "{disconnected} are not connected");
            Ok(())
        })
    };
    wait_connected("every client is connected")?;

    let mut sender = Sender { queue: &queue, users: &users, sent: Vec::new() };
    for kill in 1..=KILLS {
        while sender.sent.len() < PUSHES * kill / (KILLS + 1) {
            sender.send(BATCH)?;
        }
        println!(
            "kill {kill}: {} sent, {} received, {:?}",
            sender.sent.len(),
            fleet.ledger().received(),
            queue.depth()
        );
        hub.kill_and_restart()?;
    }
    // From here on, no hub is killed.
    fleet.restart_stopped_clients();
    wait_connected("every client is connected again")?;
    let calm_start = sender.sent.len();
    while sender.sent.len() < PUSHES {
        sender.send(BATCH)?;
    }
    queue.wait_empty(Duration::from_secs(120))?;
    let (emptied, ledger) = (Instant::now(), || fleet.ledger());
    wait::until("every client received a sync after the last start", Duration::from_secs(60), || {
        let ledger = ledger();
        ensure!((0..CLIENTS).all(|client| ledger.last_sync(client).is_some_and(|sync| sync + MAX_DELAY > emptied)));
        Ok(())
    })?;
    let last = sender.sent.last().map(|push| push.id.clone());
    wait::until("the pushes after the last kill have arrived", Duration::from_secs(30), || {
        let totals = ledger().totals(&sender.sent[calm_start..], Duration::ZERO);
        ensure!(totals.delivered == PUSHES - calm_start, "{last:?}: {totals}");
        Ok(())
    })?;

    let totals = ledger().totals(&sender.sent, MAX_DELAY);
    println!("the ledger: {totals}");
    println!("after the last kill: {}", ledger().totals(&sender.sent[calm_start..], Duration::ZERO));
    ensure!(totals.lost_covered == 0 && totals.lost_connected == 0, "{totals}");
    ensure!(
        ledger().totals(&sender.sent[calm_start..], Duration::ZERO).duplicates == 0,
        "duplicates after the last kill"
    );
    Ok(())
}
