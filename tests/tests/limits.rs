//! Connection limits: a connection above a limit is answered with 503 or 429, before it uses further resources.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::http::{self, Connection, Response};
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::process::Process;
use notification_hub_tests::{programs, wait};
use uuid::Uuid;

const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Fails unless a response has a status and `Retry-After: 5`.
fn check_limited(response: &Response, status: u16) -> Result<()> {
    ensure!((response.status, response.header("retry-after")) == (status, Some("5")), "{response:?}");
    Ok(())
}

#[test]
fn connection_limit_is_answered_503_until_one_leaves() -> Result<()> {
    let hub = LocalHub::start("limits.max_connections = 2\nreactors = 2")?;
    let mut inside = Vec::new();
    for _ in 0..2 {
        let (response, connection) = hub.upgrade(Some(&hub.token(&Uuid::new_v4().to_string(), &[])?))?;
        ensure!(response.status == 101);
        inside.push(connection);
    }
    let token = hub.token(&Uuid::new_v4().to_string(), &[])?;
    check_limited(&hub.upgrade(Some(&token))?.0, 503)?;
    ensure!(hub.metric(r#"notification_hub_connection_attempts_total{outcome="limited"}"#)? == 1.0);
    drop(inside.pop());
    wait::until("there is room again", WAIT_TIMEOUT, || {
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        Ok(())
    })
}

#[test]
fn per_user_limit_is_answered_429_until_one_leaves() -> Result<()> {
    let hub = LocalHub::start("limits.max_connections_per_user = 1")?;
    let token = hub.token(&Uuid::new_v4().to_string(), &[])?;
    let (response, first) = hub.upgrade(Some(&token))?;
    ensure!(response.status == 101);
    // A connection counts from before its handshake.
    check_limited(&hub.upgrade(Some(&token))?.0, 429)?;
    let other = hub.token(&Uuid::new_v4().to_string(), &[])?;
    ensure!(hub.upgrade(Some(&other))?.0.status == 101);
    drop(first);
    wait::until("there is room again", WAIT_TIMEOUT, || {
        ensure!(hub.upgrade(Some(&token))?.0.status == 101);
        Ok(())
    })
}

#[test]
fn low_descriptor_limit_keeps_probes_answered() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("test.secret");
    std::fs::write(&key, "x".repeat(40))?;
    let mut command = Command::new("sh");
    let program = programs::find("notification-hub")?;
    command.args(["-c", "ulimit -n 100 && exec \"$0\" serve"]).arg(program);
    command.env("NOTIFICATION_HUB__AUTH__KEYS", &key).env("NOTIFICATION_HUB__REACTORS", "2");
    for port in ["PUBLIC", "INTERNAL", "ADMIN"] {
        command.env(format!("NOTIFICATION_HUB__LISTEN__{port}"), "127.0.0.1:0");
    }
    let hub = Process::start(&command)?;
    let (public, admin) = (hub.listening("public", WAIT_TIMEOUT)?, hub.listening("admin", WAIT_TIMEOUT)?);
    // Silent connections are closed for new ones.
    let clients: Vec<Connection> = (0..150).map(|_| Connection::open(public)).collect::<Result<_>>()?;
    wait::until("the hub logs which limit to raise", WAIT_TIMEOUT, || {
        ensure!(hub.printed().contains("ulimit -n"), "{}", hub.printed());
        Ok(())
    })?;
    for path in ["/healthz", "/readyz", "/metrics"] {
        ensure!(http::get(admin, path)?.status == 200, "{path}");
    }
    drop(clients);
    ensure!(http::get(public, "/alive")?.status == 200);
    Ok(())
}

fn anonymous(hub: &LocalHub, forwarded: &str) -> Result<(Response, Connection)> {
    let mut connection = Connection::open(hub.public)?;
    let target = format!("/notifications/anonymous-hub?Token={}", Uuid::new_v4());
    let forwarded = format!("X-Forwarded-For: {forwarded}\r\n");
    connection.write(http::upgrade_request(&target, "hub", &forwarded).as_bytes())?;
    Ok((connection.response()?, connection))
}

#[test]
fn per_address_limit_counts_the_forwarded_client_address() -> Result<()> {
    let hub = LocalHub::start("limits = { max_connections_per_ip = 1, trusted_proxies = ['127.0.0.0/8'] }")?;
    let (response, _inside) = anonymous(&hub, "203.0.113.1, 198.51.100.7")?;
    ensure!(response.status == 101);
    check_limited(&anonymous(&hub, "203.0.113.2, 198.51.100.7")?.0, 429)?;
    ensure!(anonymous(&hub, "198.51.100.8")?.0.status == 101);

    // Addresses count in any spelling, and IPv6 addresses count by network.
    for (first, second) in [
        ("[2001:db8:1::1]", "2001:db8:1::2"),
        ("\"[2001:db8:2::1]:4711\"", "2001:db8:2::1%eth0"),
        ("198.51.100.9,", "198.51.100.9:4711"),
    ] {
        let (response, _inside) = anonymous(&hub, first)?;
        ensure!(response.status == 101, "{first}: {response:?}");
        check_limited(&anonymous(&hub, second)?.0, 429)?;
    }
    ensure!(anonymous(&hub, "2001:db8:1:1::1")?.0.status == 101);

    // Without trusted proxies, `X-Forwarded-For` is ignored.
    let hub = LocalHub::start("limits.max_connections_per_ip = 1")?;
    let inside: Vec<_> = (0..3).map(|_| anonymous(&hub, "198.51.100.7")).collect::<Result<_>>()?;
    ensure!(inside.iter().all(|(response, _)| response.status == 101));
    Ok(())
}
