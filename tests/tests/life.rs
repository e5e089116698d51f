//! A hub from its start to its end: configuration, health, commands, drain.

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::http::{self, Connection};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::process::Process;
use notification_hub_tests::{programs, wait};
use rustix::process::Signal;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const SOON: Duration = Duration::from_secs(20);

fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(programs::find("notification-hub")?).args(arguments).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn a_wrong_configuration_is_told_whole_with_status_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("hub.toml");
    let name = file.to_str().context("an odd folder")?;
    std::fs::write(&file, "reactors = 'many'\nnonsense = true\nsignalr.keep_alive = '0s'\n")?;
    for command in ["serve", "check-config"] {
        let output = run(&[command, "--config", name, "--listen", "nowhere"])?;
        ensure!(output.status.code() == Some(2), "{command}: {:?}", output.status);
        let told = text(&output.stderr);
        for problem in ["reactors (", "nonsense (", "signalr.keep_alive (", "listen.public (--listen)"] {
            ensure!(told.contains(problem), "{command} does not tell of {problem}: {told}");
        }
    }
    std::fs::write(&file, "auth.keys = ['/nowhere']\n")?;
    let output = run(&["serve", "--config", name])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("auth.keys: /nowhere"), "{output:?}");
    std::fs::write(&file, "")?;
    let output = run(&["serve", "--config", name])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("there is no key"), "{output:?}");
    let output = run(&["serve", "--config", "/nowhere/hub.toml"])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("/nowhere/hub.toml"), "{output:?}");
    Ok(())
}

#[test]
fn check_config_tells_where_each_value_came_from() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("test.secret");
    std::fs::write(&key, "x".repeat(40))?;
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, format!("auth.keys = [{key:?}]\nheartbeat = '1m'\n"))?;
    let name = file.to_str().context("an odd folder")?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["check-config", "--config", name, "--admin-listen", "127.0.0.1:1"]);
    let output = command.env("NOTIFICATION_HUB__REACTORS", "2").output()?;
    ensure!(output.status.success(), "{output:?}");
    let lines = text(&output.stdout);
    for line in [
        format!("heartbeat = 60s  # {name}"),
        "reactors = 2  # NOTIFICATION_HUB__REACTORS".to_owned(),
        "listen.admin = 127.0.0.1:1  # --admin-listen".to_owned(),
        "listen.public = 0.0.0.0:5000  # default".to_owned(),
    ] {
        ensure!(lines.lines().any(|told| told == line), "no {line:?} in\n{lines}");
    }
    let output = run(&["check-config", "--config", name, "--json"])?;
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(told["heartbeat"] == json!({ "value": "60s", "origin": name }), "{told}");
    Ok(())
}

#[test]
fn health_is_told_to_probes_and_to_healthcheck() -> Result<()> {
    let hub = LocalHub::start("")?;
    let admin = format!("http://{}", hub.admin);
    for path in ["/healthz", "/readyz"] {
        ensure!(http::get(hub.admin, path)?.status == 200, "{path}");
    }
    let output = run(&["healthcheck", "--url", &admin])?;
    ensure!(output.status.success() && text(&output.stdout) == "healthy", "{output:?}");
    ensure!(hub.metric(r#"notification_hub_closes_total{reason="drain"}"#)? == 0.0, "series are there from the start");
    drop(hub);
    let output = run(&["healthcheck", "--url", &admin])?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(())
}

#[test]
fn sigterm_lets_go_of_everybody_and_ends_with_status_0() -> Result<()> {
    let mut hub = LocalHub::start("drain.grace = '1s'\ndrain.duration = '500ms'")?;
    let token = hub.token(USER, &[])?;
    let clients: Vec<Listener> = ["json", "messagepack"]
        .into_iter()
        .map(|protocol| Listener::connect(Command::new("node"), &hub.url(), &token, protocol, &[]))
        .collect::<Result<_>>()?;
    let (_, raw) = hub.upgrade(Some(&token))?;
    let (mut raw, _) = raw.into_parts();
    raw.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    hub.process.signal(Signal::TERM)?;
    // For the grace it goes on: unready, serving, and sending senders elsewhere.
    wait::until("it is unready", SOON, || {
        ensure!(http::get(hub.admin, "/readyz")?.status == 503);
        Ok(())
    })?;
    let response = hub.post(json!({ "type": 5, "payload": { "userId": USER } }).to_string().as_bytes())?;
    ensure!((response.status, response.header("connection")) == (200, Some("close")));
    for client in &clients {
        client.notification(|push| push["type"] == 5 || push["Type"] == 5)?;
        client.wait_closed()?;
    }
    let mut heard = Vec::new();
    raw.read_to_end(&mut heard)?;
    let close = b"\x81\x21{\"type\":7,\"allowReconnect\":true}\x1e\x88\x02\x03\xe8";
    ensure!(heard.ends_with(close), "{:?}", String::from_utf8_lossy(&heard));
    drop(clients);
    let status = hub.process.wait(SOON)?;
    ensure!(status.success(), "{status}: {}", hub.process.printed());
    Ok(())
}

#[test]
fn a_second_signal_ends_at_once() -> Result<()> {
    let mut hub = LocalHub::start("drain.grace = '10m'")?;
    hub.process.signal(Signal::TERM)?;
    wait::until("it is unready", SOON, || {
        ensure!(http::get(hub.admin, "/readyz")?.status == 503);
        Ok(())
    })?;
    hub.process.signal(Signal::INT)?;
    let status = hub.process.wait(SOON)?;
    ensure!(status.code() == Some(130), "{status}");
    Ok(())
}

#[test]
fn a_changed_key_is_taken_over_without_a_disconnect() -> Result<()> {
    let hub = LocalHub::start("")?;
    let token = hub.token(USER, &[])?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &token, "messagepack", &[])?;
    let other = "y".repeat(40);
    std::fs::write(hub.keys().join("test.secret"), &other)?;
    wait::until("the old key is refused", SOON, || {
        ensure!(hub.upgrade(Some(&token))?.0.status == 401);
        Ok(())
    })?;
    let signer = notification_hub_tests::token::Signer::secret(other.as_bytes());
    let claims = notification_hub_tests::token::internal();
    let authorization = format!("Bearer {}", signer.sign(&claims)?);
    let push = json!({ "type": 5, "payload": { "userId": USER } }).to_string();
    let response = http::request(hub.internal, "POST", "/send", &[("Authorization", &authorization)], push.as_bytes())?;
    ensure!(response.status == 200, "{}", response.status);
    client.notification(|push| push["Type"] == 5)?;
    // What can't be read leaves the keys in force, and says so.
    std::fs::write(hub.keys().join("broken.pem"), "nonsense")?;
    wait::until("it complains", SOON, || {
        ensure!(hub.metric(r#"notification_hub_key_reloads_total{result="failed"}"#)? == 1.0);
        Ok(())
    })?;
    ensure!(
        hub.upgrade(Some(&signer.sign(&notification_hub_tests::token::user(USER, &[], "Android", "d"))?))?.0.status
            == 101
    );
    Ok(())
}

#[test]
fn a_client_that_never_reads_costs_a_bounded_queue_and_then_goes() -> Result<()> {
    let hub = LocalHub::start("slow_consumer.queue = '16KiB'")?;
    let (response, connection) = hub.upgrade(Some(&hub.token(USER, &[])?))?;
    ensure!(response.status == 101);
    let (mut deaf, _) = connection.into_parts();
    deaf.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    wait::until("it is connected", SOON, || {
        let series = r#"notification_hub_connections{client_type="Web",protocol="json",transport="websocket"}"#;
        ensure!(hub.metric(series)? == 1.0);
        Ok(())
    })?;
    let long = "x".repeat(60_000);
    // Log-outs are never made up for by a sync: they fill the queue until the client is too slow.
    let push = json!({ "type": 11, "payload": { "userId": USER }, "contextId": long });
    let reset = r#"notification_hub_slow_consumers_total{action="reset"}"#;
    wait::until("the client is let go of", Duration::from_secs(60), || {
        hub.push(&push)?;
        ensure!(hub.metric(reset)? == 1.0);
        Ok(())
    })?;
    ensure!(hub.metric(r#"notification_hub_closes_total{reason="slow"}"#)? == 1.0);
    Ok(())
}

#[test]
fn requests_that_are_half_sent_are_kept_apart_and_cut_off() -> Result<()> {
    let hub = LocalHub::start("")?;
    let halves: Vec<Connection> = (0..200)
        .map(|_| {
            let mut half = Connection::open(hub.public)?;
            half.write(b"GET /hub?access_token=")?;
            Ok(half)
        })
        .collect::<Result<_>>()?;
    ensure!(http::get(hub.public, "/alive")?.status == 200, "others are served meanwhile");
    for half in halves {
        let (mut stream, _) = half.into_parts();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).context("a half request was not cut off")?;
        ensure!(rest.is_empty());
    }
    Ok(())
}

#[test]
fn dev_gives_everything_to_connect_and_to_push() -> Result<()> {
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["dev", "--json"]);
    let mut dev = Process::start(&command)?;
    let told = dev.json("line", SOON, |line| line.get("sendUrl").is_some())?;
    let get = |name: &str| told[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {told}"));
    let (url, user) = (get("url")?, get("user")?);
    for protocol in ["json", "messagepack"] {
        let mut command = Command::new(programs::find("notification-hub")?);
        command
            .args(["listen", "--url", &url, "--protocol", protocol])
            .env("NOTIFICATION_HUB_TOKEN", get("userToken")?);
        let listener = Process::start(&command)?;
        wait::until("listen is connected", SOON, || {
            ensure!(listener.printed().contains("connected"));
            Ok(())
        })?;
        let (send, token) = (get("sendUrl")?, get("internalToken")?);
        let output = run(&["push", "--url", &send, "--token", &token, "--type", "SyncVault", "--user", &user])?;
        ensure!(output.status.success(), "{output:?}");
        let line = listener.json("push", SOON, |line| line["target"] == "ReceiveMessage")?;
        let push = &line["arguments"][0];
        ensure!(push["Type"] == 5 || push["type"] == 5, "{line}");
    }
    // Who waits for a login to be approved needs no token.
    let request = uuid::Uuid::new_v4().to_string();
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["listen", "--url", &url, "--anonymous", &request]);
    let waiting = Process::start(&command)?;
    wait::until("listen is connected", SOON, || {
        ensure!(waiting.printed().contains("connected"));
        Ok(())
    })?;
    let payload = json!({ "id": request }).to_string();
    let arguments = ["push", "--type", "16", "--user", &user, "--payload", &payload];
    let (send, token) = (get("sendUrl")?, get("internalToken")?);
    let output = run(&[&arguments[..], &["--url", &send, "--token", &token]].concat())?;
    ensure!(output.status.success(), "{output:?}");
    waiting.json("answer", SOON, |line| line["target"] == "AuthRequestResponseRecieved")?;
    // Tokens of the printed key are as good as the printed tokens.
    let key = get("keyFile")?;
    let token = text(&run(&["token", "--key", &key, "--user", &user, "--expires-in", "5m"])?.stdout);
    let output = run(&["listen", "--url", &get("adminUrl")?, "--token", &token])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains("the hub answered 404"), "{output:?}");
    let output = run(&["push", "--url", &get("sendUrl")?, "--token", &token, "--type", "5", "--user", &user])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains("403"), "{output:?}");
    let output = run(&["push", "--url", &get("sendUrl")?, "--token", &token, "--type", "Nonsense"])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("is no type of push"), "{output:?}");
    let output = run(&["token", "--key", &key])?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    dev.signal(Signal::INT)?;
    ensure!(dev.wait(SOON)?.success());
    Ok(())
}

#[test]
fn clients_are_timed_on_every_reactor() -> Result<()> {
    let hub = LocalHub::start("reactors = 4\nsignalr = { handshake_timeout = '2s', keep_alive = '1s' }")?;
    let connect = || {
        let (response, connection) = hub.upgrade(Some(&hub.token(&uuid::Uuid::new_v4().to_string(), &[])?))?;
        ensure!(response.status == 101);
        Ok(connection.into_parts().0)
    };
    let mute: Vec<_> = (0..12).map(|_| connect()).collect::<Result<_>>()?;
    let mut open: Vec<_> = (0..12).map(|_| connect()).collect::<Result<_>>()?;
    for client in &mut open {
        client.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    }
    for client in &mut open {
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("{\"type\":6}") {
            let mut buffer = [0; 256];
            let count = client.read(&mut buffer).context("there was no ping")?;
            ensure!(count > 0, "it was thrown out");
            heard.extend_from_slice(&buffer[..count]);
        }
    }
    for mut client in mute {
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).context("a client without a handshake stays")?;
        ensure!(String::from_utf8_lossy(&heard).contains("Handshake was canceled."));
    }
    Ok(())
}

#[test]
fn a_body_that_stalls_is_given_up() -> Result<()> {
    let hub = LocalHub::start("")?;
    let token = hub.signer().sign(&notification_hub_tests::token::internal())?;
    let mut stalled = Connection::open(hub.internal)?;
    let head =
        format!("POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{");
    stalled.write(head.as_bytes())?;
    ensure!(stalled.response()?.status == 408);
    Ok(())
}
