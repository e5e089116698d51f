//! Replicas with a Redis between them know together who missed what.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::listener::{Listener, QUICK_CATCH_UP};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::{http, token, wait};
use serde_json::json;
use uuid::Uuid;

const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// How long it may take until replicas hear each other.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

struct User {
    id: String,
    device: &'static str,
}

impl User {
    fn new(device: &'static str) -> User {
        User { id: Uuid::new_v4().to_string(), device }
    }

    fn connect(&self, hub: &LocalHub) -> Result<Listener> {
        let claims = token::user(&self.id, &[ORGANIZATION.to_owned()], "ChromeBrowser", self.device);
        Listener::connect(Command::new("node"), &hub.url(), &hub.signer().sign(&claims)?, "json", &[])
    }

    /// Connects, is told to sync, lives on, and goes in good order.
    fn becomes_known(&self, hub: &LocalHub) -> Result<()> {
        let client = self.connect(hub)?;
        self.syncs(&client)?;
        client.wait_three_heartbeats()?;
        client.stop()
    }

    fn syncs(&self, client: &Listener) -> Result<()> {
        let id = self.id.clone();
        client.notification(move |push| push["type"] == 5 && push["payload"]["userId"] == *id).map(drop)
    }

    /// A push of this type, caused by a device or by none.
    fn push(&self, hub: &LocalHub, kind: u8, by: Option<&str>) -> Result<()> {
        let payload = json!({ "id": self.id, "userId": self.id, "revisionDate": "2026-01-02T03:04:05Z", "reason": 1 });
        hub.push(&json!({ "type": kind, "payload": payload, "contextId": by }))
    }
}

/// Replicas that hear each other.
fn replicas<const COUNT: usize>(redis: &Redis, settings: &str) -> Result<[LocalHub; COUNT]> {
    let settings = format!("reactors = 2\n{QUICK_CATCH_UP}{}{settings}", redis.settings());
    let first = LocalHub::start(&settings)?;
    let mut hubs = (1..COUNT).map(|_| LocalHub::start_replica(&first, &settings)).collect::<Result<Vec<_>>>()?;
    hubs.insert(0, first);
    hubs.iter().try_for_each(there)?;
    hubs.try_into().map_err(|_| anyhow::anyhow!("another count"))
}

fn there(hub: &LocalHub) -> Result<()> {
    wait::until("the replica hears the others", WAIT_TIMEOUT, || {
        ensure!(hub.metric("notification_hub_backplane_up")? == 1.0);
        Ok(())
    })
}

fn told(hub: &LocalHub, reason: &str) -> Result<f64> {
    hub.metric(&format!("notification_hub_catch_up_total{{reason=\"{reason}\"}}"))
}

/// Waits for a push that only comes now: what was meant to come before it has come.
fn nothing_else(hub: &LocalHub, users: &[(&User, &Listener)]) -> Result<()> {
    // Later than a client is told to sync, which `late` has to be.
    let late = User::new("late");
    late.push(hub, 0, None)?;
    late.syncs(&late.connect(hub)?)?;
    for (user, client) in users {
        user.push(hub, 11, None)?;
        client.notification(|push| push["type"] == 11)?;
        ensure!(client.push_count() == 1, "{:?}", client.lines());
    }
    Ok(())
}

#[test]
fn client_offline_during_push_receives_sync_at_another_replica() -> Result<()> {
    let redis = Redis::start()?;
    let [a, b] = replicas(&redis, "")?;
    let (away, member, own, uncovered, there) =
        (User::new("phone"), User::new("phone"), User::new("phone"), User::new("phone"), User::new("phone"));
    for (user, hub) in [(&away, &a), (&own, &a), (&uncovered, &b), (&there, &b)] {
        user.becomes_known(hub)?;
    }
    away.push(&a, 1, None)?;
    own.push(&b, 7, Some("phone"))?;
    // A log-out is never made up for: it would end a fresh session.
    uncovered.push(&a, 11, None)?;
    // It hears this one, which was pushed elsewhere, and goes in good order.
    let listening = there.connect(&b)?;
    there.push(&a, 0, Some("laptop"))?;
    listening.notification(|push| push["type"] == 0)?;
    listening.wait_three_heartbeats()?;
    listening.stop()?;

    away.syncs(&away.connect(&b)?)?;
    let quiet = [own.connect(&a)?, uncovered.connect(&a)?, there.connect(&a)?];
    nothing_else(&b, &[(&own, &quiet[0]), (&uncovered, &quiet[1]), (&there, &quiet[2])])?;

    member.becomes_known(&a)?;
    b.push(&json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } }))?;
    member.syncs(&member.connect(&a)?)?;
    wait::until("both have counted", WAIT_TIMEOUT, || {
        ensure!(told(&a, "missed")? == 1.0 && told(&b, "missed")? >= 1.0);
        Ok(())
    })
}

#[test]
fn client_of_a_killed_replica_receives_sync_at_another() -> Result<()> {
    let redis = Redis::start()?;
    let [mut a, b] = replicas(&redis, "")?;
    let user = User::new("phone");
    let client = user.connect(&a)?;
    user.syncs(&client)?;
    a.kill_and_restart()?;
    user.push(&b, 3, None)?;
    user.syncs(&user.connect(&b)?)
}

#[test]
fn redis_restarted_empty_makes_devices_unknown_again() -> Result<()> {
    let mut redis = Redis::start()?;
    let [hub] = replicas(&redis, "")?;
    let user = User::new("phone");
    user.becomes_known(&hub)?;
    redis.kill()?;
    wait::until("the loss is noticed", WAIT_TIMEOUT, || {
        ensure!(hub.metric("notification_hub_backplane_up")? == 0.0);
        Ok(())
    })?;
    redis.restart()?;
    there(&hub)?;
    user.becomes_known(&hub)?;
    // What it was told for the gap does not count in the records that begin anew: it may be told once more.
    let once_more = user.connect(&hub)?;
    let late = User::new("late");
    late.push(&hub, 0, None)?;
    late.syncs(&late.connect(&hub)?)?;
    once_more.wait_three_heartbeats()?;
    once_more.stop()?;
    // Known again, it is told no more.
    let again = user.connect(&hub)?;
    nothing_else(&hub, &[(&user, &again)])
}

#[test]
fn redis_database_1_works_with_the_documented_acl() -> Result<()> {
    let redis = Redis::start()?;
    let settings = format!("{QUICK_CATCH_UP}{}", redis.settings_for_database(1));
    let a = LocalHub::start(&settings)?;
    let b = LocalHub::start_replica(&a, &settings)?;
    [&a, &b].into_iter().try_for_each(there)?;
    let user = User::new("phone");
    user.becomes_known(&a)?;
    // What one has noted there, the other finds.
    let again = user.connect(&b)?;
    nothing_else(&a, &[(&user, &again)])
}

#[test]
fn login_response_is_kept_for_clients_of_every_replica() -> Result<()> {
    let redis = Redis::start()?;
    let [a, b] = replicas(&redis, "")?;
    let request = Uuid::new_v4().to_string();
    let user = Uuid::new_v4().to_string();
    let approve = |hub: &LocalHub| hub.push(&json!({ "type": 16, "payload": { "userId": user, "id": request } }));
    let connect =
        |hub: &LocalHub| Listener::connect(Command::new("node"), &hub.url(), "", "json", &["--anonymous", &request]);
    let answers =
        |client: &Listener| client.lines().iter().filter(|line| line.contains("AuthRequestResponseRecieved")).count();
    approve(&a)?;
    let clients = [connect(&b)?, connect(&a)?, connect(&b)?];
    for client in &clients {
        client.line("the answer", |line| line["target"] == "AuthRequestResponseRecieved")?;
    }
    approve(&b)?;
    for client in &clients {
        wait::until("the second answer", WAIT_TIMEOUT, || {
            ensure!(answers(client) == 2, "{:?}", client.lines());
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn redis_without_records_delivers_pushes_and_syncs_on_connect() -> Result<()> {
    for more in [&["-eval"][..], &["-info"], &["-mget"], &["--maxmemory", "1mb"]] {
        let redis = Redis::start_with_arguments(more)?;
        let [a, b] = replicas(&redis, "")?;
        let user = User::new("phone");
        let client = user.connect(&a)?;
        user.syncs(&client)?;
        user.push(&b, 0, None)?;
        client.notification(|push| push["type"] == 0)?;
        client.stop()?;
        let again = user.connect(&b)?;
        user.syncs(&again)?;
        ensure!(http::get(b.admin, "/readyz")?.status == 200, "{more:?}");
    }
    Ok(())
}
