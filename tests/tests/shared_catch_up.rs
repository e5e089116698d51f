//! Catch-up with several replicas, whose records are in Redis.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::listener::{Listener, QUICK_CATCH_UP};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::redis_cluster::RedisCluster;
use notification_hub_tests::workload::Workload;
use notification_hub_tests::{http, token, wait};
use serde_json::json;
use uuid::Uuid;

const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// The timeout of each step, such as a replica's connect to Redis.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum duration of a delivery while nodes of a Redis Cluster fail or give slots away.
const CLUSTER_FAULT_DELAY: Duration = Duration::from_secs(60);

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

    /// Makes the device known to catch-up: it connects, receives a sync, stays connected, and closes cleanly.
    fn make_known(&self, hub: &LocalHub) -> Result<()> {
        let client = self.connect(hub)?;
        self.wait_sync(&client)?;
        client.wait_three_heartbeats()?;
        client.stop()
    }

    /// Waits until the client receives a sync.
    fn wait_sync(&self, client: &Listener) -> Result<()> {
        let id = self.id.clone();
        client.notification(move |push| push["type"] == 5 && push["payload"]["userId"] == *id).map(drop)
    }

    /// Sends a push of a type, caused by a device or by none.
    fn push(&self, hub: &LocalHub, kind: u8, by: Option<&str>) -> Result<()> {
        let payload = json!({ "id": self.id, "userId": self.id, "revisionDate": "2026-01-02T03:04:05Z", "reason": 1 });
        hub.push(&json!({ "type": kind, "payload": payload, "contextId": by }))
    }
}

/// Starts replicas that are connected to Redis.
fn replicas<const COUNT: usize>(redis: &Redis, settings: &str) -> Result<[LocalHub; COUNT]> {
    let settings = format!("reactors = 2\n{QUICK_CATCH_UP}{}{settings}", redis.settings());
    let first = LocalHub::start(&settings)?;
    let mut hubs = (1..COUNT).map(|_| LocalHub::start_replica(&first, &settings)).collect::<Result<Vec<_>>>()?;
    hubs.insert(0, first);
    hubs.iter().try_for_each(wait_redis)?;
    hubs.try_into().map_err(|_| anyhow::anyhow!("another count"))
}

fn wait_redis(hub: &LocalHub) -> Result<()> {
    wait::until("the replica is connected to Redis", WAIT_TIMEOUT, || {
        ensure!(hub.metric("notification_hub_backplane_up")? == 1.0);
        Ok(())
    })
}

/// Returns the number of syncs with a reason.
fn sync_count(hub: &LocalHub, reason: &str) -> Result<f64> {
    hub.metric(&format!("notification_hub_catch_up_syncs_total{{reason=\"{reason}\"}}"))
}

/// Fails if a client receives more than one push. Waits for a later push, before which all others would have arrived.
fn check_no_sync(hub: &LocalHub, users: &[(&User, &Listener)]) -> Result<()> {
    // The sync of `late` comes after one to `users` would have come.
    let late = User::new("late");
    late.push(hub, 0, None)?;
    late.wait_sync(&late.connect(hub)?)?;
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
    let (away, member, own, uncovered, present) =
        (User::new("phone"), User::new("phone"), User::new("phone"), User::new("phone"), User::new("phone"));
    for (user, hub) in [(&away, &a), (&own, &a), (&uncovered, &b), (&present, &b)] {
        user.make_known(hub)?;
    }
    away.push(&a, 1, None)?;
    own.push(&b, 7, Some("phone"))?;
    // A sync does not cover a log-out.
    uncovered.push(&a, 11, None)?;
    // The client receives this push from the other replica, and closes cleanly.
    let listening = present.connect(&b)?;
    present.push(&a, 0, Some("laptop"))?;
    listening.notification(|push| push["type"] == 0)?;
    listening.wait_three_heartbeats()?;
    listening.stop()?;

    away.wait_sync(&away.connect(&b)?)?;
    let quiet = [own.connect(&a)?, uncovered.connect(&a)?, present.connect(&a)?];
    check_no_sync(&b, &[(&own, &quiet[0]), (&uncovered, &quiet[1]), (&present, &quiet[2])])?;

    member.make_known(&a)?;
    b.push(&json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } }))?;
    member.wait_sync(&member.connect(&a)?)?;
    wait::until("both have counted", WAIT_TIMEOUT, || {
        ensure!(sync_count(&a, "missed")? == 1.0 && sync_count(&b, "missed")? >= 1.0);
        Ok(())
    })
}

#[test]
fn client_of_a_killed_replica_receives_sync_at_another() -> Result<()> {
    let redis = Redis::start()?;
    let [mut a, b] = replicas(&redis, "")?;
    let user = User::new("phone");
    let client = user.connect(&a)?;
    user.wait_sync(&client)?;
    a.kill_and_restart()?;
    user.push(&b, 3, None)?;
    user.wait_sync(&user.connect(&b)?)
}

#[test]
fn redis_restarted_empty_makes_devices_unknown_again() -> Result<()> {
    let mut redis = Redis::start()?;
    let [hub] = replicas(&redis, "")?;
    let user = User::new("phone");
    user.make_known(&hub)?;
    redis.kill()?;
    wait::until("the loss is noticed", WAIT_TIMEOUT, || {
        ensure!(hub.metric("notification_hub_backplane_up")? == 0.0);
        Ok(())
    })?;
    redis.restart()?;
    wait_redis(&hub)?;
    user.make_known(&hub)?;
    // The sync for the gap is not in the new records, so the next connect may cause another sync.
    let once_more = user.connect(&hub)?;
    let late = User::new("late");
    late.push(&hub, 0, None)?;
    late.wait_sync(&late.connect(&hub)?)?;
    once_more.wait_three_heartbeats()?;
    once_more.stop()?;
    // The device is known again, so it receives no sync.
    let again = user.connect(&hub)?;
    check_no_sync(&hub, &[(&user, &again)])
}

#[test]
fn redis_database_1_works_with_the_documented_acl() -> Result<()> {
    let redis = Redis::start()?;
    let settings = format!("{QUICK_CATCH_UP}{}", redis.settings_for_database(1));
    let a = LocalHub::start(&settings)?;
    let b = LocalHub::start_replica(&a, &settings)?;
    [&a, &b].into_iter().try_for_each(wait_redis)?;
    let user = User::new("phone");
    user.make_known(&a)?;
    // One replica finds the records of the other.
    let again = user.connect(&b)?;
    check_no_sync(&a, &[(&user, &again)])
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
        user.wait_sync(&client)?;
        user.push(&b, 0, None)?;
        client.notification(|push| push["type"] == 0)?;
        client.stop()?;
        let again = user.connect(&b)?;
        user.wait_sync(&again)?;
        ensure!(http::get(b.admin, "/readyz")?.status == 200, "{more:?}");
    }
    Ok(())
}

#[test]
fn redis_cluster_loses_nothing_during_a_failover_and_a_move_of_its_slots() -> Result<()> {
    let mut cluster = RedisCluster::start()?;
    let a = LocalHub::start(&format!("{QUICK_CATCH_UP}{}", cluster.settings()))?;
    let b = LocalHub::start_replica(&a, &format!("{QUICK_CATCH_UP}{}", cluster.settings_for_other_master()))?;
    [&a, &b].into_iter().try_for_each(wait_redis)?;
    let away = User::new("phone");
    away.make_known(&a)?;
    away.push(&b, 1, None)?;
    away.wait_sync(&away.connect(&b)?)?;

    let senders = Arc::new(Mutex::new(vec![a.internal, b.internal]));
    let workload = Workload::start(&a.signer(), b.public, senders, 20, 100)?;
    workload.wait_received(200)?;
    cluster.kill_owner()?;
    workload.wait_received(200)?;
    cluster.move_records()?;
    workload.wait_received(200)?;
    [&a, &b].into_iter().try_for_each(wait_redis)?;
    let totals = workload.finish(CLUSTER_FAULT_DELAY, LossTolerance::Fault)?;
    println!("{totals}");
    // Once no node can record at the former master any more, the records at the new one count.
    wait::until("one replica finds the records of the other", CLUSTER_FAULT_DELAY, || {
        let known = User::new("phone");
        known.make_known(&a)?;
        let again = known.connect(&b)?;
        check_no_sync(&a, &[(&known, &again)])
    })
}
