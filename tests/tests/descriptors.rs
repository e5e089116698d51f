//! More connections than a hub has descriptors for: it logs the limit, keeps existing connections, and answers probes.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use notification_hub_tests::frames::{frame, opcode};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::negotiated_client::NegotiatedClient;
use notification_hub_tests::process::Process;
use notification_hub_tests::raw_client::RawClient;
use notification_hub_tests::{descriptors, programs, wait};
use serde_json::json;
use uuid::Uuid;

const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// The limit of file descriptors of a hub.
const LIMIT: usize = 1024;
/// The number of connections of a flood.
const COUNT: usize = 20_000;

/// The number of processes and source addresses of a flood.
const FLOODS: usize = 4;

/// The maximum duration of a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Fails unless a GET is answered with 200 within `RESPONSE_TIMEOUT`.
fn check_prompt(address: std::net::SocketAddr, path: &str) -> Result<()> {
    let asked = Instant::now();
    let response = http::get(address, path)?;
    ensure!(response.status == 200, "{path}: {response:?}");
    ensure!(asked.elapsed() < RESPONSE_TIMEOUT, "{path} took {:?}", asked.elapsed());
    Ok(())
}

/// Starts the processes of a flood.
fn flood(hub: &LocalHub) -> Result<Vec<Process>> {
    let start = |number: usize| {
        let mut command = Command::new(programs::find("flood")?);
        let each = (COUNT / FLOODS).to_string();
        command.args([hub.public.to_string(), each, format!("127.0.0.{}", number + 2)]);
        Process::start(&command)
    };
    (0..FLOODS).map(start).collect()
}

#[test]
fn connection_flood_keeps_existing_clients_and_probes_served() -> Result<()> {
    let hub = LocalHub::start_with_descriptor_limit(LIMIT, "reactors = 2\nsignalr.keep_alive_interval = '2s'")?;
    let user = Uuid::new_v4().to_string();
    let mut client = RawClient::connected(&hub, &user)?;
    let poller = NegotiatedClient::new(&hub)?.connect_polling()?;

    let floods = flood(&hub)?;
    wait::until("the hub logs which limit to raise", WAIT_TIMEOUT, || {
        ensure!(hub.process.printed().contains("ulimit -n"));
        Ok(())
    })?;
    // Probes are answered during the flood.
    check_prompt(hub.admin, "/healthz")?;
    check_prompt(hub.admin, "/metrics")?;
    hub.push(&json!({ "type": 11, "payload": { "userId": poller.user } }))?;
    wait::until("a poll is answered", WAIT_TIMEOUT, || {
        ensure!(poller.poll()?.contains("\"type\":11"));
        Ok(())
    })?;
    let mut opened = 0;
    for flood in &floods {
        let line = flood.json("end of its connects", WAIT_TIMEOUT, |line| line.get("open").is_some())?;
        opened += line["open"].as_u64().unwrap_or_default();
    }
    ensure!(opened > 2 * LIMIT as u64, "only {opened} connections");
    for path in ["/healthz", "/readyz", "/metrics"] {
        check_prompt(hub.admin, path)?;
    }
    // The accept queue of the kernel must be emptied first.
    wait::until("clients are answered", WAIT_TIMEOUT, || check_prompt(hub.public, "/alive"))?;
    let open = descriptors::count(hub.process.id())?;
    ensure!(open < LIMIT, "{open} descriptors");

    hub.push(&json!({ "type": 11, "payload": { "userId": user } }))?;
    client.read_until("\"type\":11")?;
    client.read_until("{\"type\":6}")?;

    // A further client is answered with 503 and Retry-After.
    let token = hub.token(&user, &[])?;
    let (response, _) = hub.upgrade(Some(&token))?;
    ensure!((response.status, response.header("retry-after")) == (503, Some("5")), "{response:?}");
    drop(floods);
    wait::until("there is room again", WAIT_TIMEOUT, || {
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        Ok(())
    })?;
    client.send(&frame(opcode::PING, b"still here"))?;
    client.read_until("still here")?;
    Ok(())
}

#[test]
fn slow_requests_leave_descriptors_for_probes_and_senders() -> Result<()> {
    let hub = LocalHub::start_with_descriptor_limit(LIMIT, "reactors = 2")?;
    let user = Uuid::new_v4().to_string();
    let mut client = RawClient::connected(&hub, &user)?;
    let mut slow = Vec::new();
    for number in 0..LIMIT {
        let mut connection = Connection::open(hub.public)?;
        let request = if number % 2 == 0 {
            "POST /anonymous-hub?id=x HTTP/1.1\r\nHost: hub\r\nContent-Length: 9\r\n\r\n"
        } else {
            "POST /anonymous-hub/negotiate HTTP/1.1\r\nHost: hub\r\nContent-Length: 9\r\n"
        };
        connection.write(request.as_bytes()).with_context(|| format!("request {number}"))?;
        slow.push(connection);
    }
    for path in ["/healthz", "/metrics"] {
        check_prompt(hub.admin, path)?;
    }
    // Slow requests have a share of their own.
    check_prompt(hub.public, "/alive")?;
    hub.push(&json!({ "type": 11, "payload": { "userId": user } }))?;
    client.read_until("\"type\":11")?;
    Ok(())
}

#[test]
fn idle_connections_on_one_port_leave_others_served() -> Result<()> {
    let hub = LocalHub::start_with_descriptor_limit(256, "reactors = 2")?;
    let token = hub.token(&Uuid::new_v4().to_string(), &[])?;
    for address in [hub.internal, hub.admin] {
        let idle: Vec<Connection> = (0..300).map(|_| Connection::open(address)).collect::<Result<_>>()?;
        check_prompt(hub.public, "/alive")?;
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        check_prompt(hub.admin, "/healthz")?;
        hub.push(&json!({ "type": 11, "payload": { "userId": Uuid::new_v4().to_string() } }))?;
        drop(idle);
    }
    Ok(())
}

#[test]
fn kept_alive_connections_yield_to_new_clients() -> Result<()> {
    let hub = LocalHub::start_with_descriptor_limit(256, "reactors = 2")?;
    let mut kept = Vec::new();
    for _ in 0..400 {
        let mut connection = Connection::open(hub.public)?;
        ensure!(connection.request("GET", "/alive", &[], b"")?.status == 200);
        kept.push(connection);
    }
    let token = hub.token(&Uuid::new_v4().to_string(), &[])?;
    ensure!(hub.upgrade(Some(&token))?.0.status == 101);
    Ok(())
}

#[test]
fn slow_anonymous_posts_do_not_block_probes_or_senders() -> Result<()> {
    let hub = LocalHub::start_with_descriptor_limit(LIMIT, "listen.send_on_public = true")?;
    let internal = hub.signer().sign(&notification_hub_tests::token::internal())?;
    let mut posts = Vec::new();
    let mut is_full = false;
    for _ in 0..LIMIT {
        let offer = http::request(hub.public, "POST", "/anonymous-hub/negotiate?negotiateVersion=1", &[], b"")?;
        is_full = offer.status == 503;
        if is_full {
            break;
        }
        let offer = offer.json()?;
        let id = offer["connectionToken"].as_str().context("no token")?;
        let mut connection = Connection::open(hub.public)?;
        let head = format!("POST /anonymous-hub?id={id} HTTP/1.1\r\nHost: hub\r\nContent-Length: 9\r\n\r\n");
        connection.write(head.as_bytes())?;
        posts.push(connection);
    }
    ensure!(posts.len() >= 8, "only {} slow posts were accepted", posts.len());
    ensure!(is_full, "the limit is not reached after {} slow posts", posts.len());
    for path in ["/alive", "/", "/version"] {
        check_prompt(hub.public, path)?;
    }
    NegotiatedClient::new(&hub)?.connect_polling()?;
    let push = json!({ "type": 11, "payload": { "userId": Uuid::new_v4().to_string() } }).to_string();
    let authorization = format!("Bearer {internal}");
    let pushed = http::request(hub.public, "POST", "/send", &[("Authorization", &authorization)], push.as_bytes())?;
    ensure!(pushed.status == 200, "{pushed:?}");
    Ok(())
}
