//! Catch-up on one hub: a client that missed a push receives a `SyncVault` when it reconnects, and no other client does.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::listener::{Listener, QUICK_CATCH_UP};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::{token, wait};
use serde_json::{Value, json};
use uuid::Uuid;

const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

struct User<'a> {
    hub: &'a LocalHub,
    id: String,
}

impl User<'_> {
    fn new(hub: &LocalHub) -> User<'_> {
        User { hub, id: Uuid::new_v4().to_string() }
    }

    fn connect(&self, device: &str) -> Result<Listener> {
        let claims = token::user(&self.id, &[ORGANIZATION.to_owned()], "ChromeBrowser", device);
        let token = self.hub.signer().sign(&claims)?;
        Listener::connect(Command::new("node"), &self.hub.url(), &token, "json", &[])
    }

    fn push(&self, kind: u8, by: Option<&str>) -> Result<()> {
        let payload =
            json!({ "id": self.id, "userId": self.id, "revisionDate": "2026-01-02T03:04:05Z", "premium": true });
        self.hub.push(&json!({ "type": kind, "payload": payload, "contextId": by }))
    }
}

/// Returns a filter for the sync of a user.
fn sync(user: &User<'_>) -> impl Fn(&Value) -> bool {
    let id = user.id.clone();
    move |push| push["type"] == 5 && push["payload"]["userId"] == *id && push["contextId"].is_null()
}

/// Waits until the hub has counted the syncs of a reason. It counts a sync after it has written it.
fn wait_sync_count(hub: &LocalHub, reason: &str, clients: f64) -> Result<()> {
    wait::until("clients are counted", Duration::from_secs(10), || {
        let counted = hub.metric(&format!("notification_hub_catch_up_syncs_total{{reason=\"{reason}\"}}"))?;
        ensure!(counted == clients, "{counted} instead of {clients}");
        Ok(())
    })
}

/// Makes the phones of users known to catch-up: each receives the sync after the hub's start, stays connected, and closes
/// cleanly.
fn make_known(users: &[&User<'_>]) -> Result<()> {
    let phones = users.iter().map(|user| user.connect("phone")).collect::<Result<Vec<_>>>()?;
    for (user, phone) in users.iter().zip(phones) {
        phone.notification(sync(user))?;
        phone.wait_three_heartbeats()?;
        phone.stop()?;
    }
    Ok(())
}

#[test]
fn client_offline_during_push_receives_sync_on_reconnect() -> Result<()> {
    let hub = LocalHub::start(QUICK_CATCH_UP)?;
    let (away, there, own, uncovered) = (User::new(&hub), User::new(&hub), User::new(&hub), User::new(&hub));
    make_known(&[&away, &there, &own, &uncovered])?;
    let listening = there.connect("phone")?;
    there.push(1, None)?;
    listening.notification(|push| push["type"] == 1)?;
    listening.wait_three_heartbeats()?;
    listening.stop()?;
    own.push(7, Some("phone"))?;
    // A sync does not cover a log-out.
    uncovered.push(11, None)?;
    let there = there.connect("phone")?;
    let own = own.connect("phone")?;
    let uncovered = uncovered.connect("phone")?;

    // This sync is the last, so syncs of the other users would have arrived before.
    away.push(8, Some("laptop"))?;
    let away_again = away.connect("phone")?;
    away_again.notification(sync(&away))?;
    wait_sync_count(&hub, "missed", 1.0)?;
    wait_sync_count(&hub, "unknown_device", 0.0)?;
    for other in [&there, &own, &uncovered] {
        ensure!(other.push_count() == 0);
    }
    Ok(())
}

#[test]
fn missed_organization_push_is_followed_by_sync_on_reconnect() -> Result<()> {
    let hub = LocalHub::start(&format!("reactors = 2\n{QUICK_CATCH_UP}"))?;
    let user = User::new(&hub);
    make_known(&[&user])?;
    hub.push(&json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } }))?;
    let back = user.connect("phone")?;
    back.notification(sync(&user))?;
    back.kill()?;
    hub.push(&json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } }))?;
    user.connect("phone")?.notification(sync(&user))?;
    Ok(())
}

#[test]
fn hub_start_sends_sync_until_a_device_received_it() -> Result<()> {
    let hub = LocalHub::start(QUICK_CATCH_UP)?;
    let user = User::new(&hub);
    // A client that disconnects before the sync received nothing. With two connections of a device, both receive the sync.
    user.connect("phone")?.stop()?;
    let [first, second] = [user.connect("phone")?, user.connect("phone")?];
    for phone in [&first, &second] {
        phone.notification(sync(&user))?;
    }
    wait_sync_count(&hub, "restart", 2.0)?;
    second.wait_three_heartbeats()?;
    second.stop()?;
    let third = user.connect("phone")?;
    first.stop()?;
    let fourth = user.connect("phone")?;
    // This sync is later than those of the other clients would be.
    let other = User::new(&hub);
    other.connect("phone")?.notification(sync(&other))?;
    ensure!((third.push_count(), fourth.push_count()) == (0, 0), "a known device received a sync");
    Ok(())
}

#[test]
fn catch_up_disabled_sends_no_sync() -> Result<()> {
    let hub = LocalHub::start("catch_up.enabled = false\nheartbeat_interval = '2s'")?;
    let user = User::new(&hub);
    user.connect("phone")?.stop()?;
    user.push(5, None)?;
    let back = user.connect("phone")?;
    back.line("heartbeat", |line| line["target"] == "Heartbeat")?;
    back.line("another heartbeat", {
        let mut beats = 0;
        move |line| {
            beats += usize::from(line["target"] == "Heartbeat");
            beats == 2
        }
    })?;
    ensure!(back.push_count() == 0);
    Ok(())
}
