//! A hub from start to end: configuration, health, commands and drain.

use std::io::{BufRead, BufReader, Read, Write};
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
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

fn run(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(programs::find("notification-hub")?).args(arguments).output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[test]
fn invalid_configuration_lists_every_problem_and_exits_2() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("hub.toml");
    let name = file.to_str().context("an odd folder")?;
    std::fs::write(&file, "reactors = 'many'\nnonsense = true\nsignalr.keep_alive_interval = '0s'\n")?;
    for command in ["serve", "check-config"] {
        let output = run(&[command, "--config", name, "--listen-public", "nowhere"])?;
        ensure!(output.status.code() == Some(2), "{command}: {:?}", output.status);
        let stderr = text(&output.stderr);
        for problem in ["reactors (", "nonsense (", "signalr.keep_alive_interval (", "listen.public (--listen-public)"]
        {
            ensure!(stderr.contains(problem), "{command} does not print {problem}: {stderr}");
        }
        ensure!(stderr.lines().all(|line| line.starts_with("error: ")), "a line each: {stderr}");
    }
    std::fs::write(&file, "auth.keys = ['/nowhere']\n")?;
    let output = run(&["serve", "--config", name])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("auth.keys: /nowhere"), "{output:?}");
    std::fs::write(&file, "")?;
    let output = run(&["serve", "--config", name])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("no key"), "{output:?}");
    let output = run(&["serve", "--config", "/nowhere/hub.toml"])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("/nowhere/hub.toml"), "{output:?}");
    Ok(())
}

#[test]
fn check_config_and_serve_reject_the_same_settings() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, text: &str| -> Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
    };
    let (good, short) = (write("good.secret", &"x".repeat(40))?, write("short.key", "x")?);
    let malformed = write("malformed.jwks.json", r#"{"keys":"TOP-SECRET"}"#)?;
    let identity = "source.kind = 'azure_queue'\nsource.azure_queue.account_url = 'https://x.queue.core.windows.net'";
    for (settings, problems) in [
        (String::new(), &["auth.keys: no key"][..]),
        (format!("auth.keys = ['{malformed}']"), &["malformed.jwks.json: invalid JWK set (line 1, column "]),
        (
            format!("auth.keys = ['/nowhere']\nconnection_token_key_file = '{short}'"),
            &["auth.keys: /nowhere: No such file", "connection_token_key_file: "],
        ),
        (
            format!("auth.keys = ['{good}']\nconnection_token_key_file = '/nowhere'"),
            &["connection_token_key_file: cannot read /nowhere: No such file"],
        ),
        (format!("auth.keys = ['{good}']\n{identity}"), &["source.azure_queue: "]),
        (format!("auth.keys = ['{good}']\ndrain.timeout = '1s'"), &["drain.timeout ("]),
    ] {
        let file = write("hub.toml", &settings)?;
        for command in ["check-config", "serve"] {
            let mut process = Command::new(programs::find("notification-hub")?);
            process.args([command, "--config", &file, "--listen-public", "127.0.0.1:0"]);
            let output = process.env_clear().output()?;
            let stderr = text(&output.stderr);
            ensure!(output.status.code() == Some(2), "{settings}: {output:?}");
            let lines: Vec<&str> = stderr.lines().collect();
            ensure!(lines.len() == problems.len(), "{settings}: {stderr}");
            let each =
                lines.iter().zip(problems).all(|(line, part)| line.starts_with("error: ") && line.contains(part));
            ensure!(each && !stderr.contains("SECRET"), "{settings}: {stderr}");
        }
    }
    Ok(())
}

#[test]
fn command_with_closed_stdout_exits_without_panic() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("test.secret");
    std::fs::write(&key, "x".repeat(40))?;
    let key = key.to_str().context("a path that is not UTF-8")?;
    let hub = LocalHub::start("")?;
    let admin = format!("http://{}", hub.admin);
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, format!("auth.keys = ['{key}']"))?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    for (arguments, status) in [
        (&["token", "--key", key, "--user", USER][..], 0),
        (&["check-config", "--config", file], 0),
        (&["check-config", "--config", file, "--json"], 0),
        (&["check-config", "--config", "/dev/null"], 2),
        (&["healthcheck", "--url", &admin], 0),
        (&["push", "--url", "http://127.0.0.1:1", "--token", "x", "--type", "5", "--user", USER], 1),
        (&["--help"], 0),
    ] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = Command::new(programs::find("notification-hub")?);
        let output = command.args(arguments).stdout(writer.try_clone()?).output()?;
        ensure!(!text(&output.stderr).contains("panicked"), "{arguments:?}: {output:?}");
        ensure!(output.status.code() == Some(status), "{arguments:?}: {output:?}");
        ensure!(command.stderr(writer).status()?.code() == Some(status), "{arguments:?} without standard error");
    }
    Ok(())
}

/// Like `listen | head -1`: the reader closes the pipe after one line.
#[test]
fn listen_with_closed_stdout_exits_0() -> Result<()> {
    let hub = LocalHub::start("")?;
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["listen", "--url", &hub.url(), "--protocol", "json"]);
    let mut listen = command.env("NOTIFICATION_HUB_TOKEN", hub.token(USER, &[])?).stdout(writer).spawn()?;
    drop(command);
    let push = || hub.push(&json!({ "type": 11, "payload": { "userId": USER } }));
    wait::until("it is connected", WAIT_TIMEOUT, || {
        ensure!(hub.metric_sum("notification_hub_connections")? == 1.0);
        Ok(())
    })?;
    push()?;
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line)?;
    ensure!(line.contains("ReceiveMessage") || line.contains("Heartbeat"), "{line}");
    wait::until("it ends", WAIT_TIMEOUT, || {
        push()?;
        let status = listen.try_wait()?.context("listen still runs")?;
        ensure!(status.success(), "{status}");
        Ok(())
    })
}

#[test]
fn check_config_prints_the_origin_of_each_value() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("test.secret");
    std::fs::write(&key, "x".repeat(40))?;
    let file = folder.path().join("hub.toml");
    std::fs::write(&file, format!("auth.keys = [{key:?}]\nheartbeat_interval = '1m'\n"))?;
    let name = file.to_str().context("an odd folder")?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["check-config", "--config", name, "--listen-admin", "127.0.0.1:1"]);
    let output = command.env("NOTIFICATION_HUB__REACTORS", "2").output()?;
    ensure!(output.status.success(), "{output:?}");
    let lines = text(&output.stdout);
    for line in [
        format!("heartbeat_interval = 60s  # {name}"),
        "reactors = 2  # NOTIFICATION_HUB__REACTORS".to_owned(),
        "listen.admin = 127.0.0.1:1  # --listen-admin".to_owned(),
        "listen.public = [::]:5000  # default".to_owned(),
    ] {
        ensure!(lines.lines().any(|printed| printed == line), "no {line:?} in\n{lines}");
    }
    let output = run(&["check-config", "--config", name, "--json"])?;
    let settings: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(settings["heartbeat_interval"] == json!({ "value": "60s", "origin": name }), "{settings}");
    Ok(())
}

#[test]
fn health_endpoints_and_healthcheck_command_report_health() -> Result<()> {
    let hub = LocalHub::start("")?;
    let admin = format!("http://{}", hub.admin);
    for path in ["/healthz", "/readyz"] {
        ensure!(http::get(hub.admin, path)?.status == 200, "{path}");
    }
    let output = run(&["healthcheck", "--url", &admin])?;
    ensure!(output.status.success() && text(&output.stdout) == "healthy", "{output:?}");
    ensure!(
        hub.metric(r#"notification_hub_connections_closed_total{reason="drain"}"#)? == 0.0,
        "series are there from the start"
    );
    // Without an address, the command uses the configured port.
    let address = hub.admin.to_string();
    let output = run(&["healthcheck", "--listen-admin", &address])?;
    ensure!(output.status.success(), "{output:?}");
    let mut command = Command::new(programs::find("notification-hub")?);
    command.arg("healthcheck").env("NOTIFICATION_HUB__LISTEN__ADMIN", format!("0.0.0.0:{}", hub.admin.port()));
    let output = command.output()?;
    ensure!(output.status.success(), "{output:?}");
    drop(hub);
    let output = run(&["healthcheck", "--url", &admin])?;
    ensure!(output.status.code() == Some(1), "{output:?}");
    ensure!(text(&output.stderr).matches("Connection refused").count() == 1, "{output:?}");
    let output = run(&["listen", "--url", &admin, "--token", "x"])?;
    ensure!(text(&output.stderr).matches("Connection refused").count() == 1, "{output:?}");
    Ok(())
}

#[test]
fn sigterm_drains_clients_and_exits_0() -> Result<()> {
    let mut hub = LocalHub::start("drain.delay = '1s'\ndrain.duration = '500ms'")?;
    let token = hub.token(USER, &[])?;
    let clients: Vec<Listener> = ["json", "messagepack"]
        .into_iter()
        .map(|protocol| Listener::connect(Command::new("node"), &hub.url(), &token, protocol, &[]))
        .collect::<Result<_>>()?;
    let (_, raw) = hub.upgrade(Some(&token))?;
    let (mut raw, _) = raw.into_parts();
    raw.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    hub.process.signal(Signal::TERM)?;
    // During the grace period the hub is unready, serves clients, and closes the connections of senders.
    wait::until("it is unready", WAIT_TIMEOUT, || {
        ensure!(http::get(hub.admin, "/readyz")?.status == 503);
        Ok(())
    })?;
    let response = hub.post(json!({ "type": 5, "payload": { "userId": USER } }).to_string().as_bytes())?;
    ensure!((response.status, response.header("connection")) == (200, Some("close")));
    for client in &clients {
        client.notification(|push| push["type"] == 5 || push["Type"] == 5)?;
        client.wait_closed()?;
    }
    let mut received = Vec::new();
    raw.read_to_end(&mut received)?;
    let close = b"\x81\x21{\"type\":7,\"allowReconnect\":true}\x1e\x88\x02\x03\xe8";
    ensure!(received.ends_with(close), "{:?}", String::from_utf8_lossy(&received));
    drop(clients);
    let status = hub.process.wait(WAIT_TIMEOUT)?;
    ensure!(status.success(), "{status}: {}", hub.process.printed());
    Ok(())
}

#[test]
fn second_signal_exits_immediately_with_130() -> Result<()> {
    let mut hub = LocalHub::start("drain.delay = '10m'")?;
    hub.process.signal(Signal::TERM)?;
    wait::until("it is unready", WAIT_TIMEOUT, || {
        ensure!(http::get(hub.admin, "/readyz")?.status == 503);
        Ok(())
    })?;
    hub.process.signal(Signal::INT)?;
    let status = hub.process.wait(WAIT_TIMEOUT)?;
    ensure!(status.code() == Some(130), "{status}");
    Ok(())
}

#[test]
fn changed_key_file_is_reloaded_without_a_disconnect() -> Result<()> {
    let hub = LocalHub::start("")?;
    let token = hub.token(USER, &[])?;
    let client = Listener::connect(Command::new("node"), &hub.url(), &token, "messagepack", &[])?;
    let other = "y".repeat(40);
    std::fs::write(hub.keys().join("test.secret"), &other)?;
    wait::until("the old key is refused", WAIT_TIMEOUT, || {
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
    // A file that cannot be read leaves the keys unchanged, and is counted.
    std::fs::write(hub.keys().join("broken.pem"), "nonsense")?;
    wait::until("the failure is counted", WAIT_TIMEOUT, || {
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
fn client_that_never_reads_is_closed_at_limit() -> Result<()> {
    let hub = LocalHub::start("slow_consumer.max_queued_bytes = '16KiB'")?;
    let (response, connection) = hub.upgrade(Some(&hub.token(USER, &[])?))?;
    ensure!(response.status == 101);
    let (mut stalled, _) = connection.into_parts();
    stalled.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    wait::until("it is connected", WAIT_TIMEOUT, || {
        let series = r#"notification_hub_connections{client_type="Web",protocol="json",transport="websocket"}"#;
        ensure!(hub.metric(series)? == 1.0);
        Ok(())
    })?;
    let long = "x".repeat(60_000);
    // A sync does not cover log-outs, so they fill the queue up to its limit.
    let push = json!({ "type": 11, "payload": { "userId": USER }, "contextId": long });
    let reset = r#"notification_hub_slow_consumer_actions_total{action="reset"}"#;
    wait::until("the client is closed", Duration::from_secs(60), || {
        hub.push(&push)?;
        ensure!(hub.metric(reset)? == 1.0);
        Ok(())
    })?;
    ensure!(hub.metric(r#"notification_hub_connections_closed_total{reason="slow_consumer"}"#)? == 1.0);
    Ok(())
}

#[test]
fn partial_request_heads_time_out_without_blocking_others() -> Result<()> {
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
        stream.read_to_end(&mut rest).context("a partial request did not time out")?;
        ensure!(rest.is_empty());
    }
    Ok(())
}

#[test]
fn dev_prints_urls_and_tokens_for_listen_and_push() -> Result<()> {
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["dev", "--json"]);
    let mut dev = Process::start(&command)?;
    let printed = dev.json("line", WAIT_TIMEOUT, |line| line.get("sendUrl").is_some())?;
    let get = |name: &str| printed[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {printed}"));
    let (url, user) = (get("url")?, get("user")?);
    for protocol in ["json", "messagepack"] {
        let mut command = Command::new(programs::find("notification-hub")?);
        command
            .args(["listen", "--url", &url, "--protocol", protocol])
            .env("NOTIFICATION_HUB_TOKEN", get("userToken")?);
        let listener = Process::start(&command)?;
        wait::until("listen is connected", WAIT_TIMEOUT, || {
            ensure!(listener.printed().contains("connected"));
            Ok(())
        })?;
        let (send, token) = (get("sendUrl")?, get("internalToken")?);
        let output = run(&["push", "--url", &send, "--token", &token, "--type", "SyncVault", "--user", &user])?;
        ensure!(output.status.success(), "{output:?}");
        let line = listener.json("push", WAIT_TIMEOUT, |line| line["target"] == "ReceiveMessage")?;
        let push = &line["arguments"][0];
        ensure!(push["Type"] == 5 || push["type"] == 5, "{line}");
    }
    // A client of the anonymous hub needs no token.
    let request = uuid::Uuid::new_v4().to_string();
    let mut command = Command::new(programs::find("notification-hub")?);
    command.args(["listen", "--url", &url, "--anonymous", &request]);
    let waiting = Process::start(&command)?;
    wait::until("listen is connected", WAIT_TIMEOUT, || {
        ensure!(waiting.printed().contains("connected"));
        Ok(())
    })?;
    let payload = json!({ "id": request }).to_string();
    let arguments = ["push", "--type", "16", "--user", &user, "--payload", &payload];
    let (send, token) = (get("sendUrl")?, get("internalToken")?);
    let output = run(&[&arguments[..], &["--url", &send, "--token", &token]].concat())?;
    ensure!(output.status.success(), "{output:?}");
    waiting.json("answer", WAIT_TIMEOUT, |line| line["target"] == "AuthRequestResponseRecieved")?;
    // The printed key signs valid tokens.
    let key = get("keyFile")?;
    let token = text(&run(&["token", "--key", &key, "--user", &user, "--expires-in", "5m"])?.stdout);
    let output = run(&["listen", "--url", &get("adminUrl")?, "--token", &token])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains("the hub answered 404"), "{output:?}");
    let output = run(&["push", "--url", &get("sendUrl")?, "--token", &token, "--type", "5", "--user", &user])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains("403"), "{output:?}");
    // For a token of another key, the commands print the hub's reason.
    let folder = tempfile::tempdir()?;
    let other = folder.path().join("other.secret");
    std::fs::write(&other, "x".repeat(40))?;
    let foreign =
        text(&run(&["token", "--key", other.to_str().context("a path that is not UTF-8")?, "--user", &user])?.stdout);
    let explained = "the hub answered 401: The signature is invalid";
    let output = run(&["listen", "--url", &get("url")?, "--token", &foreign])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains(explained), "{output:?}");
    let output = run(&["push", "--url", &get("sendUrl")?, "--token", &foreign, "--type", "5", "--user", &user])?;
    ensure!(output.status.code() == Some(1) && text(&output.stderr).contains(explained), "{output:?}");
    let output = run(&["listen", "--url", &format!("{}/hub?access_token={foreign}", get("url")?), "--token", "x"])?;
    ensure!(output.status.code() == Some(1) && !text(&output.stderr).contains(&foreign), "{output:?}");
    let output = run(&["push", "--url", &get("sendUrl")?, "--token", &token, "--type", "Nonsense"])?;
    ensure!(output.status.code() == Some(2) && text(&output.stderr).contains("unknown push type"), "{output:?}");
    let output = run(&["token", "--key", &key])?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    dev.signal(Signal::INT)?;
    ensure!(dev.wait(WAIT_TIMEOUT)?.success());
    Ok(())
}

#[test]
fn keep_alive_and_handshake_timeout_apply_on_every_reactor() -> Result<()> {
    let hub = LocalHub::start("reactors = 4\nsignalr = { handshake_timeout = '2s', keep_alive_interval = '1s' }")?;
    let connect = || {
        let (response, connection) = hub.upgrade(Some(&hub.token(&uuid::Uuid::new_v4().to_string(), &[])?))?;
        ensure!(response.status == 101);
        Ok(connection.into_parts().0)
    };
    let silent: Vec<_> = (0..12).map(|_| connect()).collect::<Result<_>>()?;
    let mut open: Vec<_> = (0..12).map(|_| connect()).collect::<Result<_>>()?;
    for client in &mut open {
        client.write_all(b"\x81\xa0\0\0\0\0{\"protocol\":\"json\",\"version\":1}\x1e")?;
    }
    for client in &mut open {
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains("{\"type\":6}") {
            let mut buffer = [0; 256];
            let count = client.read(&mut buffer).context("there was no ping")?;
            ensure!(count > 0, "the connection was closed");
            received.extend_from_slice(&buffer[..count]);
        }
    }
    for mut client in silent {
        let mut received = Vec::new();
        client.read_to_end(&mut received).context("a client without a handshake was not closed")?;
        ensure!(String::from_utf8_lossy(&received).contains("Handshake was canceled."));
    }
    Ok(())
}

#[test]
fn stalled_send_body_is_answered_408() -> Result<()> {
    let hub = LocalHub::start("")?;
    let token = hub.signer().sign(&notification_hub_tests::token::internal())?;
    let mut stalled = Connection::open(hub.internal)?;
    let head =
        format!("POST /send HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{");
    stalled.write(head.as_bytes())?;
    ensure!(stalled.response()?.status == 408);
    Ok(())
}

/// Starts a hub with its default addresses in a network namespace, and pushes to a client of `$2` until the client has received one.
/// `$3` prepares the namespace.
const NETWORK_NAMESPACE: &str = r#"set -eu
hub=$1 host=$2
ip link set lo up
eval "$3"
head -c 40 /dev/zero | tr '\0' k > key.secret
export NOTIFICATION_HUB__AUTH__KEYS="$PWD/key.secret"
"$hub" serve &
server=$!
trap 'kill $server $client; wait' EXIT
client=
until "$hub" healthcheck; do sleep 0.1; kill -0 $server; done
user=11111111-1111-1111-1111-111111111111
NOTIFICATION_HUB_TOKEN=$("$hub" token --key key.secret --user $user) "$hub" listen --url "http://$host:5000" > received &
client=$!
export NOTIFICATION_HUB_TOKEN=$("$hub" token --key key.secret --scope internal)
until [ -s received ]; do
  kill -0 $client
  "$hub" push --url "http://$host:5001" --type SyncVault --user $user
  sleep 0.1
done
"#;

fn push_in_network_namespace(host: &str, preparation: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("timeout");
    command.args(["60", "unshare", "--user", "--map-root-user", "--net", "sh", "-c", NETWORK_NAMESPACE, "sh"]);
    let output =
        command.arg(programs::find("notification-hub")?).args([host, preparation]).current_dir(&folder).output()?;
    ensure!(
        output.status.success(),
        "{}\n{}\nunshare needs the right to make user and network namespaces",
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(())
}

#[test]
fn hub_without_ipv4_serves_clients_and_senders() -> Result<()> {
    push_in_network_namespace("[::1]", "ip address delete 127.0.0.1/8 dev lo")
}

#[test]
fn hub_without_ipv6_serves_clients_and_senders() -> Result<()> {
    push_in_network_namespace("127.0.0.1", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
}
