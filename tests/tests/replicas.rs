//! Several replicas with one Redis.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use notification_hub_tests::azurite::Azurite;
use notification_hub_tests::frames::{frame, opcode};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::ledger::LossTolerance;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::raw_client::{HANDSHAKE, RawClient};
use notification_hub_tests::redis::Redis;
use notification_hub_tests::sentinels::Sentinels;
use notification_hub_tests::wait;
use notification_hub_tests::workload::Workload;
use serde_json::{Value, json};
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const INSTALLATION: &str = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
const REQUEST: &str = "dddddddd-dddd-dddd-dddd-dddddddddddd";

/// The timeout of each step, such as a change of the link to Redis.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum duration of a delivery while connections to Redis are closed.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Starts two replicas that are connected to Redis.
fn start_two(redis: &Redis, settings: &str) -> Result<(LocalHub, LocalHub)> {
    let settings = format!("installation.id = '{INSTALLATION}'\n{}{settings}", redis.settings());
    let first = LocalHub::start(&settings)?;
    let second = LocalHub::start_replica(&first, &settings)?;
    [&first, &second].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    Ok((first, second))
}

/// Waits until a replica is connected to Redis (`up` is 1), or is not (0).
fn wait_link(hub: &LocalHub, up: f64) -> Result<()> {
    wait::until("the state of Redis is noticed", WAIT_TIMEOUT, || {
        ensure!(hub.metric("notification_hub_backplane_up")? == up);
        Ok(())
    })
}

fn connect(hub: &LocalHub, user: &str, protocol: &str) -> Result<Listener> {
    let token = hub.token(user, &[ORGANIZATION.to_owned()])?;
    Listener::connect(Command::new("node"), &hub.url(), &token, protocol, &[])
}

fn log_out(user: &str) -> Value {
    json!({ "type": 11, "payload": { "userId": user, "reason": 1 } })
}

/// Returns a push of type 20 to a user, an organization or an installation, by the name of the member `target`.
fn numbered(target: &str, id: &str, client_type: u8) -> Value {
    json!({ "type": 20, "payload": { "id": Uuid::new_v4().to_string(), "priority": 2, "global": false,
        "clientType": client_type, target: id, "creationDate": "2026-01-02T03:04:05Z",
        "revisionDate": "2026-01-02T03:04:05Z" } })
}

/// Returns the type of a push in either protocol.
fn kind(push: &Value) -> &Value {
    if push["type"].is_null() { &push["Type"] } else { &push["type"] }
}

#[test]
fn push_at_one_replica_reaches_clients_of_all_once() -> Result<()> {
    let redis = Redis::start()?;
    let (a, b) = start_two(&redis, "catch_up.enabled = false\nreactors = 2")?;
    let clients = [connect(&a, USER, "json")?, connect(&b, USER, "messagepack")?, connect(&b, USER, "json")?];
    let other = connect(&b, &Uuid::new_v4().to_string(), "json")?;
    for (hub, push) in [
        (&a, log_out(USER)),
        (&b, log_out(USER)),
        // These clients have the client type Web (1). No client has type 4.
        (&a, numbered("userId", USER, 1)),
        (&a, numbered("userId", USER, 4)),
        (&b, json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } })),
        (&a, numbered("organizationId", ORGANIZATION, 1)),
        (&a, numbered("installationId", INSTALLATION, 0)),
        (&b, numbered("installationId", INSTALLATION, 1)),
        (&a, json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": false } })),
        (&b, json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": false } })),
    ] {
        hub.push(&push)?;
    }
    // Channels of one connection are ordered, so the last push of each replica proves that all earlier ones would have arrived.
    let last = |client: &Listener| {
        let mut seen = 0;
        client.notification(move |push| {
            let off = push["payload"]["enabled"] == false || push["Payload"]["Enabled"] == false;
            seen += usize::from(*kind(push) == 18 && off);
            seen == 2
        })
    };
    for client in &clients {
        last(client)?;
        ensure!(client.push_count() == 9, "{:?}", client.lines());
    }
    last(&other)?;
    ensure!(other.push_count() == 6, "{:?}", other.lines());
    Ok(())
}

#[test]
fn login_response_at_one_replica_reaches_client_of_another() -> Result<()> {
    let redis = Redis::start()?;
    let (a, b) = start_two(&redis, "")?;
    let client = Listener::connect(Command::new("node"), &b.url(), "", "json", &["--anonymous", REQUEST])?;
    a.push(&json!({ "type": 16, "payload": { "userId": USER, "id": REQUEST } }))?;
    client.line("answer", |line| line["target"] == "AuthRequestResponseRecieved")?;
    Ok(())
}

#[test]
fn negotiated_token_of_one_replica_connects_to_another() -> Result<()> {
    let redis = Redis::start()?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    std::fs::write(&key, Uuid::new_v4().to_string())?;
    let (a, b) = start_two(&redis, &format!("connection_token_key_file = {key:?}"))?;
    let authorization = format!("Bearer {}", a.token(USER, &[])?);
    let headers = [("Authorization", authorization.as_str())];
    let offer = http::request(a.public, "POST", "/hub/negotiate?negotiateVersion=1", &headers, b"")?.json()?;
    let token = offer["connectionToken"].as_str().with_context(|| format!("no token: {offer}"))?;
    let mut connection = Connection::open(b.public)?;
    let header = format!("Authorization: {authorization}\r\n");
    connection.write(http::upgrade_request(&format!("/hub?id={token}"), "hub", &header).as_bytes())?;
    let response = connection.response()?;
    ensure!(response.status == 101, "{response:?}");
    let mut client = RawClient::from(connection);
    client.send(&frame(opcode::TEXT, HANDSHAKE))?;
    client.read_until("{}")?;
    a.push(&log_out(USER))?;
    client.read_until("\"type\":11")?;
    Ok(())
}

#[test]
fn channel_prefixes_isolate_deployments() -> Result<()> {
    let redis = Redis::start()?;
    let of = |prefix: &str| {
        format!("{}backplane.redis.channel_prefix = '{prefix}'\ncatch_up.enabled = false", redis.settings())
    };
    let (a, b) = (LocalHub::start(&of("a"))?, LocalHub::start(&of("b"))?);
    [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    let (at_a, at_b) = (connect(&a, USER, "json")?, connect(&b, USER, "json")?);
    a.push(&log_out(USER))?;
    at_a.notification(|push| push["type"] == 11)?;
    // Earlier messages of Redis would have arrived before this push.
    b.push(&numbered("userId", USER, 0))?;
    at_b.notification(|push| push["type"] == 20)?;
    ensure!((at_a.push_count(), at_b.push_count()) == (1, 1));
    Ok(())
}

#[test]
fn pushes_published_by_the_original_reach_clients() -> Result<()> {
    let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../hub/tests/contract/recorded.json");
    let recorded: Value = serde_json::from_slice(&std::fs::read(recorded)?)?;
    let published = &recorded["redis_observed"]["push user"]["published"][0];
    let text = |name: &str| published[name].as_str().with_context(|| format!("no {name} in {published}"));
    let hex = text("hex")?;
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
    let bytes = (0..hex.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
    let redis = Redis::start()?;
    let (a, b) = start_two(&redis, "")?;
    let (at_a, at_b) = (connect(&a, USER, "json")?, connect(&b, USER, "messagepack")?);
    ensure!(redis.publish(text("channel")?, b"nonsense")? == 2);
    ensure!(redis.publish(text("channel")?, &bytes)? == 2);
    let push = at_a.notification(|push| push["type"] == 11)?;
    ensure!(push == json!({ "type": 11, "payload": { "userId": USER, "reason": 1 }, "contextId": "dev-2" }), "{push}");
    at_b.notification(|push| push["Type"] == 11)?;
    // Foreign pushes are counted, because catch-up does not cover them.
    a.push(&log_out(USER))?;
    at_b.notification({
        let mut seen = 0;
        move |push| {
            seen += usize::from(push["Type"] == 11);
            seen == 2
        }
    })?;
    for hub in [&a, &b] {
        ensure!(hub.metric("notification_hub_backplane_foreign_pushes_total")? == 1.0);
    }
    Ok(())
}

#[test]
fn redis_outage_serves_local_clients_and_publishes_pushes_later() -> Result<()> {
    let mut redis = Redis::start()?;
    let (a, b) = start_two(&redis, "catch_up.spread = '1s'\n")?;
    // The first sync is that after the connect, so a later one is for the gap.
    let (at_a, at_b) = (connect(&a, USER, "json")?, connect(&b, USER, "json")?);
    for client in [&at_a, &at_b] {
        client.notification(|push| push["type"] == 5)?;
    }
    redis.kill()?;
    [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 0.0))?;
    a.push(&log_out(USER))?;
    at_a.notification(|push| push["type"] == 11)?;
    for hub in [&a, &b] {
        ensure!(http::get(hub.admin, "/readyz")?.status == 200);
    }
    // A client that connects during the outage does not wait.
    let meanwhile = connect(&b, USER, "json")?;
    ensure!(at_b.push_count() == 1 && !at_b.lines().iter().any(|line| line.contains("\"type\":11")));

    redis.restart()?;
    [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    at_a.notification({
        let mut syncs = 0;
        move |push| {
            syncs += usize::from(push["type"] == 5);
            syncs == 2
        }
    })?;
    let caught_up = |hub: &LocalHub| hub.metric("notification_hub_catch_up_syncs_total{reason=\"backplane_gap\"}");
    wait::until("every client receives a sync", Duration::from_secs(40), || {
        // The client that connected during the outage may have received its sync before.
        ensure!(caught_up(&a)? == 1.0 && caught_up(&b)? >= 1.0);
        Ok(())
    })?;
    meanwhile.notification(|push| push["type"] == 5)?;
    // Held pushes are delivered once, before later pushes.
    a.push(&numbered("userId", USER, 0))?;
    for client in [&at_b, &meanwhile] {
        client.notification(|push| push["type"] == 11)?;
        client.notification(|push| push["type"] == 20)?;
        ensure!(client.lines().iter().filter(|line| line.contains("\"type\":11")).count() == 1);
    }
    Ok(())
}

#[test]
fn push_above_hold_limit_is_rejected_and_not_delivered() -> Result<()> {
    let mut redis = Redis::start()?;
    let (a, _b) = start_two(&redis, "backplane.max_pending_pushes = 2\ncatch_up.enabled = false")?;
    let client = connect(&a, USER, "json")?;
    redis.kill()?;
    wait_link(&a, 0.0)?;
    a.push(&log_out(USER))?;
    a.push(&log_out(USER))?;
    let refused = a.post(log_out(USER).to_string().as_bytes())?;
    ensure!(refused.status == 503 && refused.header("retry-after").is_some(), "{refused:?}");
    redis.restart()?;
    wait_link(&a, 1.0)?;
    a.push(&numbered("userId", USER, 0))?;
    client.notification(|push| push["type"] == 20)?;
    ensure!(client.push_count() == 3, "{:?}", client.lines());
    Ok(())
}

#[test]
fn pushes_held_for_redis_are_limited_in_bytes() -> Result<()> {
    let mut redis = Redis::start()?;
    let hub = LocalHub::start(&format!("{}backplane.max_pending_bytes = '4MiB'", redis.settings()))?;
    wait_link(&hub, 1.0)?;
    redis.kill()?;
    wait_link(&hub, 0.0)?;
    let mut large = numbered("userId", USER, 0);
    large["payload"]["body"] = json!("x".repeat(1_000_000));
    let status = |push: &Value| Ok::<u16, anyhow::Error>(hub.post(push.to_string().as_bytes())?.status);
    // Each push has 2 MB with the frames of both protocols.
    let statuses = [status(&large)?, status(&large)?, status(&large)?, status(&log_out(USER))?];
    ensure!(statuses == [200, 200, 503, 200], "{statuses:?}");
    redis.restart()?;
    wait_link(&hub, 1.0)?;
    wait::until("room for more", WAIT_TIMEOUT, || {
        ensure!(status(&large)? == 200);
        Ok(())
    })
}

#[test]
fn replica_started_without_redis_becomes_ready_with_it() -> Result<()> {
    let mut redis = Redis::start()?;
    redis.kill()?;
    let hub = LocalHub::start(&redis.settings())?;
    ensure!(http::get(hub.admin, "/healthz")?.status == 200);
    let response = http::get(hub.admin, "/readyz")?;
    ensure!((response.status, response.text().trim()) == (503, "waiting for Redis"), "{response:?}");
    redis.restart()?;
    wait::until("the replica is ready", WAIT_TIMEOUT, || {
        ensure!(http::get(hub.admin, "/readyz")?.status == 200);
        Ok(())
    })
}

#[test]
fn handshake_waits_about_a_second_for_paused_redis() -> Result<()> {
    let redis = Redis::start()?;
    let (a, b) = start_two(&redis, "")?;
    redis.pause()?;
    let since = Instant::now();
    let mut client = RawClient::connected(&b, USER)?;
    ensure!(since.elapsed() > Duration::from_millis(800), "it was answered after {:?}", since.elapsed());
    redis.resume()?;
    // A sync covers pushes that it may have missed.
    client.read_until("\"type\":5")?;
    wait_link(&a, 1.0)?;
    wait_link(&b, 1.0)?;
    a.push(&log_out(USER))?;
    client.read_until("\"type\":11")?;
    Ok(())
}

#[test]
fn redis_over_tls_connects_replicas() -> Result<()> {
    let redis = Redis::start_with_tls()?;
    let (a, b) = start_two(&redis, "")?;
    let client = connect(&b, USER, "json")?;
    a.push(&log_out(USER))?;
    client.notification(|push| push["type"] == 11)?;
    Ok(())
}

#[test]
fn redis_sentinel_finds_master_and_logs_unknown_service() -> Result<()> {
    let redis = Sentinels::start()?;
    let a = LocalHub::start(&format!("{}catch_up.enabled = false", redis.settings()))?;
    let b = LocalHub::start_replica(&a, &format!("{}catch_up.enabled = false", redis.settings()))?;
    [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    let client = connect(&b, USER, "json")?;
    a.push(&log_out(USER))?;
    client.notification(|push| push["type"] == 11)?;

    let lost = LocalHub::start(&redis.settings_for_service("elsewhere"))?;
    wait::until("the reason is logged", WAIT_TIMEOUT, || {
        let log = lost.process.printed();
        let reason = "no Sentinel knows a master of elsewhere: 127.0.0.1:9: ";
        ensure!(log.contains(reason) && log.contains("does not know it"), "{log}");
        Ok(())
    })
}

#[test]
fn redis_server_list_follows_the_master_after_failover() -> Result<()> {
    let redis = Sentinels::start()?;
    let settings = format!("{}catch_up.enabled = false", redis.settings_for_servers());
    let a = LocalHub::start(&settings)?;
    let b = LocalHub::start_replica(&a, &settings)?;
    [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    let client = connect(&b, USER, "json")?;
    a.push(&log_out(USER))?;
    client.notification(|push| push["type"] == 11)?;
    redis.fail_over()?;
    let count = || client.lines().iter().filter(|line| line.contains("\"type\":20")).count();
    wait::until("both replicas use the new master", Duration::from_secs(60), || {
        ensure!([&a, &b].iter().all(|hub| hub.process.printed().contains("redis unavailable")));
        [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
        let before = count();
        a.push(&numbered("userId", USER, 0))?;
        wait::until("a push", Duration::from_secs(2), || {
            ensure!(count() > before);
            Ok(())
        })
    })
}

#[test]
fn redis_outage_leaves_messages_in_the_queue() -> Result<()> {
    let mut redis = Redis::start()?;
    let azurite = Azurite::start()?;
    let queue = azurite.queue("notifications")?;
    queue.create()?;
    let settings = format!(
        "{}catch_up.enabled = false\nsource.kind = 'azure_queue'\nsource.azure_queue.connection_string = '{}'",
        redis.settings(),
        azurite.connection_string(azurite.port())
    );
    let hub = LocalHub::start(&settings)?;
    wait_link(&hub, 1.0)?;
    let client = connect(&hub, USER, "json")?;
    redis.kill()?;
    wait_link(&hub, 0.0)?;
    let pushes: Vec<String> = (0..10).map(|_| log_out(USER).to_string()).collect();
    queue.put(&pushes)?;
    wait::settled("the queue's depth", WAIT_TIMEOUT, || queue.depth())?;
    ensure!(queue.depth()? == pushes.len(), "{} are left", queue.depth()?);
    redis.restart()?;
    queue.wait_empty(WAIT_TIMEOUT)?;
    client.notification({
        let mut seen = 0;
        move |push| {
            seen += usize::from(push["type"] == 11);
            seen == 10
        }
    })?;
    ensure!(client.push_count() == pushes.len(), "{:?}", client.lines());
    Ok(())
}

/// Redis closes connections without commands after `timeout`, but not those of subscribers. The hub pings more often.
#[test]
fn redis_connections_that_redis_closes_lose_no_push() -> Result<()> {
    let redis = Redis::start_with_arguments(&["+client", "--timeout", "3"])?;
    let (a, b) = start_two(&redis, "")?;
    let senders = Arc::new(Mutex::new(vec![a.internal]));
    let workload = Workload::start(&a.signer(), b.public, senders, 20, 100)?;
    workload.wait_received(100)?;
    for kind in ["pubsub", "normal", "pubsub"] {
        redis.kill_connections(kind)?;
        workload.wait_received(100)?;
        [&a, &b].into_iter().try_for_each(|hub| wait_link(hub, 1.0))?;
    }
    workload.finish(MAX_DELAY, LossTolerance::Fault).map(drop)
}
