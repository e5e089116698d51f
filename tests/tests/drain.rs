//! The drain of a replica while others continue (`decisions.md` 7).

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::raw_client::RawClient;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::resource_limits::ResourceLimits;
use notification_hub_tests::{token, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// The timeout of each step.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// The last bytes to a client that is drained: a SignalR Close with `allowReconnect`, and a WebSocket Close.
const CLOSE: &[u8] = b"\x81\x21{\"type\":7,\"allowReconnect\":true}\x1e\x88\x02\x03\xe8";

/// Starts two replicas that are connected to Redis, without catch-up.
fn start_two(redis: &Redis, settings: &str) -> Result<(LocalHub, LocalHub)> {
    let settings = format!("{}catch_up.enabled = false\n{settings}", redis.settings());
    let first = LocalHub::start(&settings)?;
    let second = LocalHub::start_replica(&first, &settings)?;
    [&first, &second].into_iter().try_for_each(|hub| wait_metric(hub, "backplane_up", 1.0))?;
    Ok((first, second))
}

/// Waits until a metric has a value.
fn wait_metric(hub: &LocalHub, metric: &str, value: f64) -> Result<()> {
    wait::until(metric, WAIT_TIMEOUT, || {
        let found = hub.metric(&format!("notification_hub_{metric}"))?;
        ensure!(found == value, "it is {found}");
        Ok(())
    })
}

fn log_out() -> Value {
    json!({ "type": 11, "payload": { "userId": USER, "reason": 1 } })
}

fn count(received: &[u8]) -> usize {
    String::from_utf8_lossy(received).matches("\"type\":11").count()
}

#[test]
fn drain_closes_clients_evenly_after_delivering_every_push() -> Result<()> {
    const CLIENTS: usize = 200;
    let redis = Redis::start()?;
    let (mut a, b) = start_two(&redis, "reactors = 2\ndrain.delay = '3s'\ndrain.duration = '8s'")?;
    let clients = (0..CLIENTS).map(|_| RawClient::connected(&a, USER)).collect::<Result<Vec<_>>>()?;
    let elsewhere = Listener::connect(Command::new("node"), &b.url(), &b.token(USER, &[])?, "json", &[])?;

    a.process.signal(Signal::TERM)?;
    wait_metric(&a, "drain_phase{phase=\"delay\"}", 1.0)?;
    ensure!(http::get(a.admin, "/readyz")?.status == 503);
    // Endpoints are updated with a delay, so the replica still serves new clients and senders.
    let newcomer = RawClient::connected(&a, USER)?;
    let response = a.post(log_out().to_string().as_bytes())?;
    ensure!((response.status, response.header("connection")) == (200, Some("close")), "{response:?}");
    b.push(&log_out())?;

    let left = wait::until("about half are left", WAIT_TIMEOUT, || {
        let left = a.metric("notification_hub_drain_connections_remaining")? as usize;
        ensure!((CLIENTS / 4..CLIENTS * 3 / 4).contains(&left), "{left} are left");
        ensure!(a.metric("notification_hub_drain_phase{phase=\"clients\"}")? == 1.0);
        Ok(left)
    })?;
    ensure!(a.metric("notification_hub_connections_closed_total{reason=\"drain\"}")? as usize >= CLIENTS - left);
    ensure!(http::get(a.public, "/alive").is_err(), "the public port is still open");
    ensure!(http::get(a.internal, "/alive").is_err(), "the internal port is still open");
    b.push(&log_out())?;

    let mut received = BTreeMap::<usize, usize>::new();
    for client in clients.into_iter().chain([newcomer]) {
        let rest = client.read_to_end()?;
        ensure!(rest.ends_with(CLOSE), "{:?}", String::from_utf8_lossy(&rest));
        *received.entry(count(&rest)).or_default() += 1;
    }
    // Clients that were closed before the third push received two pushes, the others three. None received a duplicate.
    ensure!(received.keys().all(|count| [2, 3].contains(count)), "{received:?}");
    ensure!(received.values().all(|clients| *clients > CLIENTS / 10), "{received:?}");
    ensure!(a.process.wait(WAIT_TIMEOUT)?.success(), "{}", a.process.printed());
    b.push(&json!({ "type": 5, "payload": { "userId": USER } }))?;
    elsewhere.notification(|push| push["type"] == 5)?;
    ensure!(elsewhere.push_count() == 4, "{:?}", elsewhere.lines());
    Ok(())
}

#[test]
fn drain_publishes_held_pushes_when_redis_returns() -> Result<()> {
    let mut redis = Redis::start()?;
    let (mut a, b) = start_two(&redis, "drain.duration = '0s'\ndrain.timeout = '60s'")?;
    let elsewhere = Listener::connect(Command::new("node"), &b.url(), &b.token(USER, &[])?, "json", &[])?;
    redis.kill()?;
    [&a, &b].into_iter().try_for_each(|hub| wait_metric(hub, "backplane_up", 0.0))?;
    a.push(&log_out())?;
    a.process.signal(Signal::TERM)?;
    wait_metric(&a, "drain_phase{phase=\"backplane\"}", 1.0)?;
    redis.restart()?;
    ensure!(a.process.wait(WAIT_TIMEOUT)?.success(), "{}", a.process.printed());
    elsewhere.notification(|push| push["type"] == 11)?;
    ensure!(!a.process.printed().contains("exiting with unpublished pushes"), "{}", a.process.printed());
    b.push(&json!({ "type": 20, "payload": { "id": USER, "userId": USER, "creationDate": "2026-01-02T03:04:05Z",
        "revisionDate": "2026-01-02T03:04:05Z" } }))?;
    elsewhere.notification(|push| push["type"] == 20)?;
    ensure!(elsewhere.lines().iter().filter(|line| line.contains("\"type\":11")).count() == 1);
    Ok(())
}

#[test]
fn drain_timeout_ends_the_wait_for_held_pushes() -> Result<()> {
    let mut redis = Redis::start()?;
    let (mut a, _b) = start_two(&redis, "drain.duration = '0s'\ndrain.timeout = '1s'")?;
    redis.kill()?;
    wait_metric(&a, "backplane_up", 0.0)?;
    a.push(&log_out())?;
    a.process.signal(Signal::TERM)?;
    ensure!(a.process.wait(WAIT_TIMEOUT)?.success(), "{}", a.process.printed());
    let log = a.process.printed();
    ensure!(log.contains("exiting with unpublished pushes"), "{log}");
    Ok(())
}

#[test]
fn drain_delivers_a_push_being_posted() -> Result<()> {
    let mut hub = LocalHub::start("drain.delay = '1s'\ndrain.duration = '0s'")?;
    let client = RawClient::connected(&hub, USER)?;
    let token = hub.signer().sign(&token::internal())?;
    let body = log_out().to_string();
    let (begun, rest) = body.split_at(10);
    let mut sender = Connection::open(hub.internal)?;
    let length = body.len();
    let head = format!(
        "POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{begun}"
    );
    sender.write(head.as_bytes())?;
    hub.process.signal(Signal::TERM)?;
    wait_metric(&hub, "drain_phase{phase=\"sources\"}", 1.0)?;
    sender.write(rest.as_bytes())?;
    let response = sender.response()?;
    ensure!((response.status, response.header("connection")) == (200, Some("close")), "{response:?}");
    let received = client.read_to_end()?;
    ensure!(count(&received) == 1 && received.ends_with(CLOSE), "{:?}", String::from_utf8_lossy(&received));
    ensure!(hub.process.wait(WAIT_TIMEOUT)?.success(), "{}", hub.process.printed());
    Ok(())
}

#[test]
fn drain_timeout_resets_clients_that_never_read() -> Result<()> {
    let mut hub = LocalHub::start("drain.duration = '0s'\ndrain.timeout = '2s'")?;
    let other = "e2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
    let healthy = RawClient::connected(&hub, other)?;
    let stalled = (0..5).map(|_| RawClient::with_small_buffers(&hub, USER)).collect::<Result<Vec<_>>>()?;
    let mut push = log_out();
    push["contextId"] = "x".repeat(2_000).into();
    wait::until("frames are queued for each stalled client", WAIT_TIMEOUT, || {
        hub.push(&push)?;
        ensure!(hub.metric("notification_hub_slow_consumer_actions_total{action=\"queued\"}")? >= 10.0);
        Ok(())
    })?;
    hub.process.signal(Signal::TERM)?;
    ensure!(healthy.read_to_end()?.ends_with(CLOSE));
    ensure!(hub.process.wait(WAIT_TIMEOUT)?.success(), "{}", hub.process.printed());
    ensure!(stalled.into_iter().all(RawClient::is_reset), "a client was not reset");
    let log = hub.process.printed();
    ensure!(log.contains("drain deadline passed, resetting open sockets") && log.contains("\"left\":5"), "{log}");
    Ok(())
}

/// A stalled sender uses up the time for the clients.
#[test]
fn drain_timeout_resets_clients_not_yet_closed() -> Result<()> {
    let mut hub = LocalHub::start("drain.duration = '2s'\ndrain.timeout = '2s'")?;
    let clients = (0..20).map(|_| RawClient::connected(&hub, USER)).collect::<Result<Vec<_>>>()?;
    let token = hub.signer().sign(&token::internal())?;
    let mut sender = Connection::open(hub.internal)?;
    let head =
        format!("POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{");
    sender.write(head.as_bytes())?;
    hub.process.signal(Signal::TERM)?;
    ensure!(hub.process.wait(WAIT_TIMEOUT)?.success(), "{}", hub.process.printed());
    let reset = clients.into_iter().map(RawClient::is_reset).filter(|reset| *reset).count();
    ensure!(reset >= 15, "only {reset} were reset");
    Ok(())
}

/// The limits of Bitwarden's self-host chart (`bitwarden.md` 3.3) and the time after which Docker kills a container.
#[test]
fn hub_with_the_limits_of_the_chart_holds_clients_and_drains_before_docker_kills_it() -> Result<()> {
    const MILLI_CPUS: u64 = 100;
    const MEMORY: u64 = 256 << 20;
    const DOCKER_STOP_TIMEOUT: Duration = Duration::from_secs(10);
    /// Without optimization a connect costs ten times as much. `CLIENTS=10000` with a release build is the number for which the
    /// limits are meant.
    const CLIENTS: usize = 1000;
    let Some(limits) = ResourceLimits::create(MILLI_CPUS, MEMORY)? else {
        println!("skipped: only root can limit a process");
        return Ok(());
    };
    let mut hub = LocalHub::start("")?;
    limits.apply(hub.process.id())?;
    let number = std::env::var("CLIENTS").map_or(Ok(CLIENTS), |number| number.parse())?;
    let clients = (0..number).map(|_| RawClient::connected(&hub, USER)).collect::<Result<Vec<_>>>()?;
    ensure!(http::get(hub.public, "/alive")?.status == 200);
    hub.push(&log_out())?;
    hub.process.signal(Signal::TERM)?;
    ensure!(hub.process.wait(DOCKER_STOP_TIMEOUT)?.success(), "{}", hub.process.printed());
    println!("{number} clients took {} bytes of memory", limits.peak_memory()?);
    for client in clients {
        let received = client.read_to_end()?;
        ensure!(count(&received) == 1 && received.ends_with(CLOSE), "{:?}", String::from_utf8_lossy(&received));
    }
    Ok(())
}
