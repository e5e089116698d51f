//! Changed files are reloaded while a hub runs, without a disconnect (`decisions.md` 7).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::process::Process;
use notification_hub_tests::redis::Redis;
use notification_hub_tests::{certificate, http, programs, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// The timeout of each step.
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

/// The log message of a hub that rejects a changed file.
const REJECTED: &str = "changed files rejected; the previous contents stay in use";

fn log_out() -> Value {
    json!({ "type": 11, "payload": { "userId": USER, "reason": 1 } })
}

/// Waits until a hub has printed a text exactly `times` times.
fn wait_logged(process: &Process, text: &str, times: usize) -> Result<()> {
    wait::until(text, WAIT_TIMEOUT, || {
        let printed = process.printed();
        ensure!(printed.matches(text).count() == times, "{printed}");
        Ok(())
    })
}

/// Fails if a connection was closed.
fn check_no_disconnect(hub: &LocalHub) -> Result<()> {
    let gone = hub.metric_sum("notification_hub_connections_closed_total")?;
    ensure!(gone == 0.0, "{gone} have gone");
    Ok(())
}

/// Writes a file as a kubelet does: into a new folder, then replaces the link to the previous folder.
fn mount(volume: &Path, version: &str, name: &str, text: &str) -> Result<()> {
    fs::create_dir(volume.join(version))?;
    fs::write(volume.join(version).join(name), text)?;
    symlink(version, volume.join("..new"))?;
    fs::rename(volume.join("..new"), volume.join("..data"))?;
    if !volume.join(name).exists() {
        symlink(Path::new("..data").join(name), volume.join(name))?;
    }
    Ok(())
}

#[test]
fn log_level_file_change_is_applied() -> Result<()> {
    let volume = tempfile::tempdir()?;
    mount(volume.path(), "..1", "level", "warn\n")?;
    let hub = LocalHub::start(&format!("log.level_file = {:?}", volume.path().join("level")))?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &hub.token(USER, &[])?, "json", &[])?;
    let taken = "push published";
    hub.push(&log_out())?;
    ensure!(!hub.process.printed().contains(taken), "log.level is in force: {}", hub.process.printed());

    mount(volume.path(), "..2", "level", "info,notification_hub=debug\n")?;
    wait_logged(&hub.process, "log level changed", 1)?;
    hub.push(&log_out())?;
    wait_logged(&hub.process, taken, 1)?;

    // An invalid level changes nothing. It is logged once, and again at SIGHUP.
    mount(volume.path(), "..3", "level", "loud=very\n")?;
    wait_logged(&hub.process, REJECTED, 1)?;
    hub.process.signal(Signal::HUP)?;
    wait_logged(&hub.process, REJECTED, 2)?;
    hub.push(&log_out())?;
    wait_logged(&hub.process, taken, 2)?;
    client.notification({
        let mut seen = 0;
        move |push| {
            seen += usize::from(push["type"] == 11);
            seen == 3
        }
    })?;
    check_no_disconnect(&hub)
}

#[test]
fn log_level_file_missing_at_start_uses_log_level() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("level");
    let hub = LocalHub::start(&format!("log.level_file = {file:?}"))?;
    wait_logged(&hub.process, "using log.level", 1)?;
    hub.push(&log_out())?;
    wait_logged(&hub.process, "push published", 1)?;
    fs::write(&file, "error")?;
    hub.process.signal(Signal::HUP)?;
    wait::until("it is silent", WAIT_TIMEOUT, || {
        let before = hub.process.printed().len();
        hub.push(&log_out())?;
        ensure!(hub.process.printed().len() == before);
        Ok(())
    })
}

#[test]
fn sighup_reloads_all_files_immediately() -> Result<()> {
    let hub = LocalHub::start("")?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &hub.token(USER, &[])?, "json", &[])?;
    fs::write(hub.keys().join("broken.pem"), "nonsense")?;
    let failed = |times: f64| {
        wait::until("it complains", WAIT_TIMEOUT, || {
            ensure!(hub.metric("notification_hub_key_reloads_total{result=\"failed\"}")? == times);
            Ok(())
        })
    };
    failed(1.0)?;
    hub.process.signal(Signal::HUP)?;
    failed(2.0)?;
    wait_logged(&hub.process, "SIGHUP received, reading files again", 2)?;
    hub.push(&log_out())?;
    client.notification(|push| push["type"] == 11)?;
    check_no_disconnect(&hub)
}

#[test]
fn changed_redis_ca_file_applies_to_the_next_connection() -> Result<()> {
    let mut redis = Redis::start_with_tls()?;
    let up = |hub: &LocalHub, up: f64| {
        wait::until("the state of Redis is noticed", WAIT_TIMEOUT, || {
            ensure!(hub.metric("notification_hub_backplane_up")? == up);
            Ok(())
        })
    };
    let a = LocalHub::start(&redis.settings())?;
    let b = LocalHub::start_replica(&a, &redis.settings())?;
    [&a, &b].into_iter().try_for_each(|hub| up(hub, 1.0))?;
    let client = Listener::connect(Command::new("node"), &b.url(), &b.token(USER, &[])?, "json", &[])?;

    redis.renew_certificate()?;
    for hub in [&a, &b] {
        wait_logged(&hub.process, "trusted certificate authorities changed", 1)?;
        // Open connections are not affected.
        ensure!(hub.metric("notification_hub_backplane_up")? == 1.0);
    }
    let again = |redis: &mut Redis| {
        redis.kill()?;
        [&a, &b].into_iter().try_for_each(|hub| up(hub, 0.0))?;
        redis.restart()?;
        [&a, &b].into_iter().try_for_each(|hub| up(hub, 1.0))
    };
    again(&mut redis)?;
    a.push(&log_out())?;
    client.notification(|push| push["type"] == 11)?;

    // A file without a certificate leaves the previous one in use.
    fs::write(redis.ca_file().context("no TLS")?, "nonsense")?;
    for hub in [&a, &b] {
        wait_logged(&hub.process, REJECTED, 1)?;
        hub.process.signal(Signal::HUP)?;
        wait_logged(&hub.process, REJECTED, 2)?;
    }
    again(&mut redis)?;
    a.push(&log_out())?;
    client.notification({
        let mut seen = 0;
        move |push| {
            seen += usize::from(push["type"] == 11);
            seen == 2
        }
    })?;
    [&a, &b].into_iter().try_for_each(check_no_disconnect)
}

#[test]
fn ssl_cert_dir_authority_is_trusted_for_redis() -> Result<()> {
    let redis = Redis::start_with_tls()?;
    let folder = tempfile::tempdir()?;
    let added = folder.path().join("added");
    fs::create_dir(&added)?;
    // A mounted folder, at first with a CA that did not sign the certificate of Redis.
    let other = tempfile::tempdir()?;
    certificate::make(other.path(), "IP:127.0.0.1")?;
    mount(&added, "..1", "redis.crt", &fs::read_to_string(other.path().join("authority"))?)?;
    fs::write(folder.path().join("test.secret"), "x".repeat(40))?;
    let settings: Vec<String> =
        redis.settings().lines().filter(|line| !line.contains("ca_file")).map(str::to_owned).collect();
    let keys = format!("auth.keys = [{:?}]\n", folder.path().join("test.secret"));
    fs::write(folder.path().join("hub.toml"), keys + &settings.join("\n"))?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["serve", "--config"]).arg(folder.path().join("hub.toml")).env("SSL_CERT_DIR", &added);
    for listener in ["--listen-public", "--listen-internal", "--listen-admin"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let hub = Process::start(&command)?;
    let admin = hub.listening("admin", WAIT_TIMEOUT)?;
    wait_logged(&hub, "redis unavailable", 1)?;
    let authority = redis.ca_file().context("no TLS")?;
    mount(&added, "..2", "redis.crt", &fs::read_to_string(authority)?)?;
    wait::until("Redis is connected", WAIT_TIMEOUT, || {
        let metrics = http::get(admin, "/metrics")?.text();
        ensure!(metrics.contains("\nnotification_hub_backplane_up 1\n"), "{}", hub.printed());
        Ok(())
    })
}
