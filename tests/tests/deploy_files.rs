//! The files in `deploy/` for Docker Compose, systemd and Debian: hubs start with their commands, environments and configuration,
//! and the files keep hubs without privileges.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::run;
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::nginx::Nginx;
use notification_hub_tests::pages::{read, root};
use notification_hub_tests::process::Process;
use notification_hub_tests::token;
use notification_hub_tests::{http, programs, secrets, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const UNIT: &str = "deploy/systemd/notification-hub.service";
const CONFIG: &str = "deploy/systemd/config.toml";
/// The folder of keys in the unit's configuration and in the containers.
const KEYS: &str = "/etc/notification-hub/keys";
/// How long a hub may take to end after `drain.timeout`: its turn at the queue, HTTP responses and admin port.
const EXIT_MARGIN: Duration = Duration::from_secs(15);

/// Returns a folder with a public key in `keys`, and the key pair.
fn key_folder() -> Result<(TempDir, SigningKey)> {
    let (folder, key) = (tempfile::tempdir()?, SigningKey::es256()?);
    std::fs::create_dir(folder.path().join("keys"))?;
    std::fs::write(folder.path().join("keys/signing.pem"), &key.public_pem)?;
    Ok((folder, key))
}

/// Starts a hub with free ports, and returns it once it listens.
fn start(mut command: Command) -> Result<Process> {
    for port in ["PUBLIC", "INTERNAL", "ADMIN"] {
        command.env(format!("NOTIFICATION_HUB__LISTEN__{port}"), "127.0.0.1:0");
    }
    let hub = Process::start(&command)?;
    hub.listening("admin", START_TIMEOUT)?;
    Ok(hub)
}

/// Sends a push of type 11 to [`USER`].
fn push(hub: &Process, key: &SigningKey) -> Result<()> {
    let authorization = format!("Bearer {}", key.signer()?.sign(&token::internal())?);
    let body = json!({ "type": 11, "payload": { "userId": USER } }).to_string();
    let internal = hub.listening("internal", START_TIMEOUT)?;
    let response = http::request(internal, "POST", "/send", &[("Authorization", &authorization)], body.as_bytes())?;
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    Ok(())
}

/// Checks that a hub answers clients, senders and probes, and ends with success within this time after SIGTERM.
fn check_life(mut hub: Process, key: &SigningKey, stop_timeout: Duration) -> Result<()> {
    ensure!(http::get(hub.listening("public", START_TIMEOUT)?, "/alive")?.status == 200);
    push(&hub, key)?;
    hub.signal(Signal::TERM)?;
    let status = hub.wait(stop_timeout)?;
    ensure!(status.success(), "{status}: {}", hub.printed());
    Ok(())
}

/// Runs `check-config --json` with a configuration file, and returns the settings by key.
fn check_config(command: &mut Command, config: &Path) -> Result<BTreeMap<String, Value>> {
    let output = command.args(["check-config", "--json", "--config"]).arg(config).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Returns the time from SIGTERM in which a hub with these settings ends at the latest.
fn shutdown_time(settings: &BTreeMap<String, Value>) -> Result<Duration> {
    let value = |key: &str| seconds(settings[key]["value"].as_str().context("no value")?);
    Ok(value("drain.delay")? + value("drain.timeout")? + EXIT_MARGIN)
}

/// Parses a number of seconds, such as `90s`.
fn seconds(text: &str) -> Result<Duration> {
    let number = text.strip_suffix('s').with_context(|| format!("{text} has no seconds"))?;
    Ok(Duration::from_secs(number.parse()?))
}

/// Returns the values of a directive of the unit, in its order.
fn directives(name: &str) -> Result<Vec<String>> {
    let unit = read(UNIT)?;
    Ok(unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned).collect())
}

/// Returns the only value of a directive of the unit.
fn directive(name: &str) -> Result<String> {
    let values = directives(name)?;
    ensure!(values.len() == 1, "{name}: {values:?}");
    Ok(values[0].clone())
}

/// Returns the command of the unit, with the program and the credentials of this test.
fn unit_command(credentials: &Path) -> Result<Command> {
    let line = directive("ExecStart")?;
    let mut words = line.split_whitespace();
    ensure!(words.next() == Some("/usr/bin/notification-hub"), "{line}");
    let mut command = Command::new(programs::find("notification-hub")?);
    let folder = credentials.to_str().context("a path that is not UTF-8")?;
    command.args(words.map(|word| word.replace("${CREDENTIALS_DIRECTORY}", folder)));
    Ok(command)
}

/// Writes the unit's configuration for the keys in this folder, as systemd passes it.
fn write_unit_config(folder: &Path) -> Result<()> {
    ensure!(directives("LoadCredential")? == ["config.toml:/etc/notification-hub/config.toml"]);
    let config = read(CONFIG)?;
    ensure!(config.contains(KEYS), "{config}");
    let keys = folder.join("keys");
    Ok(std::fs::write(folder.join("config.toml"), config.replace(KEYS, keys.to_str().context("no UTF-8")?))?)
}

#[test]
fn unit_command_with_example_config_serves_until_sigterm() -> Result<()> {
    let (folder, key) = key_folder()?;
    write_unit_config(folder.path())?;
    let hub = start(unit_command(folder.path())?)?;
    check_life(hub, &key, seconds(&directive("TimeoutStopSec")?)?)
}

#[test]
fn unit_stop_timeout_covers_drain_with_redis() -> Result<()> {
    let (folder, _) = key_folder()?;
    write_unit_config(folder.path())?;
    let mut command = Command::new(programs::find("notification-hub")?);
    command.env("NOTIFICATION_HUB__BACKPLANE__REDIS__URL", "redis://127.0.0.1");
    let config = folder.path().join("config.toml");
    let expected = shutdown_time(&check_config(&mut command, &config)?)?;
    let timeout = seconds(&directive("TimeoutStopSec")?)?;
    ensure!(timeout >= expected, "the unit waits {timeout:?}, and a hub may take {expected:?}");
    Ok(())
}

#[test]
fn unit_hub_without_a_key_is_not_restarted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::create_dir(folder.path().join("keys"))?;
    write_unit_config(folder.path())?;
    let mut hub = Process::start(&unit_command(folder.path())?)?;
    let status = hub.wait(START_TIMEOUT)?;
    ensure!(status.code() == Some(directive("RestartPreventExitStatus")?.parse()?), "{status}: {}", hub.printed());
    ensure!(hub.printed().contains("error: auth.keys: no key; give a file"), "{}", hub.printed());
    Ok(())
}

#[test]
fn unit_hub_with_taken_port_names_setting_and_is_restarted() -> Result<()> {
    let (folder, _) = key_folder()?;
    write_unit_config(folder.path())?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = taken.local_addr()?.to_string();
    let mut command = unit_command(folder.path())?;
    command.env("NOTIFICATION_HUB__LISTEN__PUBLIC", &address);
    let mut hub = Process::start(&command)?;
    let status = hub.wait(START_TIMEOUT)?;
    ensure!(status.code() == Some(1), "{status}: {}", hub.printed());
    ensure!(directive("Restart")? == "on-failure");
    let printed = hub.printed();
    ensure!(
        ["listen.public", &address, "Address already in use"].iter().all(|part| printed.contains(part)),
        "{printed}"
    );
    Ok(())
}

#[test]
fn example_config_has_every_setting() -> Result<()> {
    let (folder, _) = key_folder()?;
    // All settings in force. A line of prose begins with `# `.
    let config = read(CONFIG)?;
    let lines = config.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(|first: char| first.is_ascii_lowercase()) => setting,
        _ => line,
    });
    let set: Vec<&str> = lines.collect();
    let path = folder.path().join("all.toml");
    std::fs::write(&path, set.join("\n"))?;
    let mut command = Command::new(programs::find("notification-hub")?);
    let output = command.args(["check-config", "--json", "--config"]).arg(&path).output()?;
    // Its files do not exist, but all settings can be read.
    let settings: BTreeMap<String, Value> =
        serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(settings.len() > 40, "{settings:?}");
    let file = path.to_str().context("a path that is not UTF-8")?;
    let missing: Vec<_> = settings.iter().filter(|(_, setting)| setting["origin"] != file).collect();
    ensure!(missing.is_empty(), "{CONFIG} does not have {missing:?}");
    Ok(())
}

/// Returns the services of a Compose file.
fn services(file: &str) -> Result<BTreeMap<String, Value>> {
    let compose: Value = serde_saphyr::from_str(&read(&format!("deploy/compose/{file}"))?)?;
    Ok(serde_json::from_value(compose["services"].clone())?)
}

/// Returns the words of a list.
fn words(list: &Value) -> Result<Vec<String>> {
    Ok(serde_json::from_value(list.clone())?)
}

/// Returns a hub's command with the environment of its service. Paths in the container are those of this folder.
fn container(service: &Value, folder: &Path) -> Result<Command> {
    let mut command = Command::new(programs::find("notification-hub")?);
    let at = |path: &str| folder.join(path).to_str().map(str::to_owned).context("a path that is not UTF-8");
    let environment = service["environment"].as_object().context("no environment")?;
    for (name, value) in environment {
        let value = value.as_str().context("no text")?;
        command.env(name, value.replace(KEYS, &at("keys")?).replace("/run/secrets/", &at("secrets/")?));
    }
    Ok(command)
}

#[test]
fn compose_hub_serves_until_sigterm() -> Result<()> {
    let service = &services("compose.yaml")?["notifications"];
    let (folder, key) = key_folder()?;
    let hub = start(container(service, folder.path())?)?;
    // The command of the health check, at the port of this hub.
    let check = words(&service["healthcheck"]["test"])?;
    ensure!(check[..2] == ["CMD", "/usr/local/bin/notification-hub"], "{check:?}");
    let mut health = container(service, folder.path())?;
    health.args(&check[2..]);
    health.env("NOTIFICATION_HUB__LISTEN__ADMIN", hub.listening("admin", START_TIMEOUT)?.to_string());
    ensure!(run(&mut health)?.trim() == "healthy");
    let grace = seconds(service["stop_grace_period"].as_str().context("no stop_grace_period")?)?;
    check_life(hub, &key, grace)
}

#[test]
fn compose_stop_grace_periods_cover_the_drain() -> Result<()> {
    let (folder, _) = key_folder()?;
    run(Command::new(root().join("deploy/compose/secrets.sh")).arg(folder.path().join("secrets")))?;
    for file in ["compose.yaml", "compose.replicas.yaml"] {
        let service = &services(file)?["notifications"];
        let expected = shutdown_time(&check_config(&mut container(service, folder.path())?, Path::new("/dev/null"))?)?;
        let grace = seconds(service["stop_grace_period"].as_str().context("no stop_grace_period")?)?;
        ensure!(grace >= expected, "{file}: {grace:?} is less than {expected:?}");
    }
    Ok(())
}

#[test]
fn compose_services_are_pinned_and_have_no_privileges() -> Result<()> {
    for file in ["compose.yaml", "compose.replicas.yaml"] {
        for (name, service) in services(file)? {
            ensure!(service["read_only"] == true, "{file}: {name} has a writable root");
            ensure!(service["cap_drop"] == json!(["ALL"]) && service.get("cap_add").is_none(), "{file}: {name}");
            ensure!(service["security_opt"] == json!(["no-new-privileges:true"]), "{file}: {name}");
            ensure!(service.get("privileged").is_none(), "{file}: {name} is privileged");
            let image = service["image"].as_str().context("no image")?;
            let is_pinned =
                image.rsplit_once(':').is_some_and(|(_, tag)| tag.starts_with(|it: char| it.is_ascii_digit()));
            // There is no release of the hub yet.
            let is_required = image.starts_with("${NOTIFICATION_HUB_IMAGE:?") && image.contains("docs/deploy.md");
            ensure!(is_pinned != is_required, "{file}: {name} has the image {image}");
        }
    }
    Ok(())
}

#[test]
fn image_health_check_is_that_of_compose() -> Result<()> {
    let dockerfile = read("Dockerfile")?;
    // The form without a shell.
    let (_, rest) = dockerfile.split_once("\nHEALTHCHECK ").context("no HEALTHCHECK")?;
    let (_, command) = rest.lines().next().and_then(|line| line.split_once("CMD ")).context("no command")?;
    let check = words(&services("compose.yaml")?["notifications"]["healthcheck"]["test"])?;
    ensure!(serde_json::from_str::<Vec<String>>(command)? == check[1..], "{command}, but {check:?}");
    Ok(())
}

/// Starts the Redis of a Compose file with secrets of this folder, and returns its address.
fn start_redis(service: &Value, folder: &Path) -> Result<(Process, SocketAddr)> {
    let command = words(&service["command"])?;
    ensure!(command[0] == "redis-server", "{command:?}");
    // Redis cannot choose a free port.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let mut redis = Command::new(&command[0]);
    let secrets = format!("{}/", folder.join("secrets").display());
    redis.args(command[1..].iter().map(|word| word.replace("/run/secrets/", &secrets)));
    redis.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]).current_dir(folder);
    let process = Process::start(&redis)?;
    wait::until("redis listens", START_TIMEOUT, || {
        TcpStream::connect(address).with_context(|| process.printed()).map(drop)
    })?;
    Ok((process, address))
}

#[test]
fn compose_replicas_deliver_pushes_of_each_other_behind_nginx() -> Result<()> {
    let services = services("compose.replicas.yaml")?;
    let (folder, key) = key_folder()?;
    let secrets_folder = folder.path().join("secrets");
    run(Command::new(root().join("deploy/compose/secrets.sh")).arg(&secrets_folder))?;
    let config = std::fs::read_to_string(secrets_folder.join("hub.toml"))?;
    secrets::register(config.split('"').nth(3).context("no password")?);
    let (_redis, address) = start_redis(&services["redis"], folder.path())?;

    let service = &services["notifications"];
    ensure!(service["deploy"]["replicas"] == 2);
    let replica = || -> Result<Process> {
        let mut command = container(service, folder.path())?;
        ensure!(service["environment"]["NOTIFICATION_HUB__BACKPLANE__REDIS__URL"] == "redis://redis:6379");
        command.env("NOTIFICATION_HUB__BACKPLANE__REDIS__URL", format!("redis://{address}"));
        command.arg("--config").arg(secrets_folder.join("hub.toml"));
        let hub = start(command)?;
        let admin = hub.listening("admin", START_TIMEOUT)?;
        wait::until("the replica is ready", START_TIMEOUT, || {
            let response = http::get(admin, "/readyz")?;
            ensure!(response.status == 200, "{}: {}", response.text(), hub.printed());
            Ok(())
        })?;
        Ok(hub)
    };
    let hubs = [replica()?, replica()?];
    let addresses = [hubs[0].listening("public", START_TIMEOUT)?, hubs[1].listening("public", START_TIMEOUT)?];
    let nginx = Nginx::start(&addresses)?;
    let token = key.signer()?.sign(&token::user(USER, &[], "ChromeBrowser", "test-device"))?;
    let mut node = Command::new("node");
    node.env("NODE_EXTRA_CA_CERTS", nginx.certificate());
    // The negotiation reaches the one replica, and the connection the other.
    let client =
        Listener::connect(node, &nginx.url, &token, "messagepack", &["--negotiate", "--transport", "WebSockets"])?;
    // The client is connected to one of the two.
    for (count, hub) in hubs.iter().enumerate() {
        push(hub, &key)?;
        let mut seen = 0;
        client.notification(|push| {
            seen += usize::from(push["type"] == 11 || push["Type"] == 11);
            seen > count
        })?;
    }
    client.stop()?;
    for hub in &hubs {
        secrets::assert_none_in("the replica's output", &hub.printed());
    }
    Ok(())
}

#[test]
fn secrets_script_keeps_existing_secrets() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = root().join("deploy/compose/secrets.sh");
    let output = Command::new(script).arg(folder.path()).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && stderr.contains("exists; remove it first"), "{output:?}");
    ensure!(std::fs::read_dir(folder.path())?.next().is_none(), "files were written");
    Ok(())
}

/// Builds the Debian package of the hub that was built with this test.
fn build_package(folder: &Path) -> Result<PathBuf> {
    let mut script = Command::new(root().join("deploy/debian/build.sh"));
    // The default takes a minute for a program that is not optimized.
    script.env("DPKG_DEB_COMPRESSOR_TYPE", "gzip");
    let path = run(script.arg(programs::find("notification-hub")?).arg(folder))?;
    Ok(PathBuf::from(path.trim()))
}

#[test]
fn debian_package_has_program_unit_and_conffile() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let package = build_package(folder.path())?;
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(&package))?;
    let modes: BTreeMap<&str, &str> = contents
        .lines()
        .filter_map(|line| Some((line.split_whitespace().last()?, line.split_whitespace().next()?)))
        .collect();
    for (path, mode) in [
        ("./usr/bin/notification-hub", "-rwxr-xr-x"),
        ("./lib/systemd/system/notification-hub.service", "-rw-r--r--"),
        ("./etc/notification-hub/config.toml", "-rw-------"),
        ("./etc/notification-hub/keys/", "drwxr-xr-x"),
    ] {
        ensure!(modes.get(path) == Some(&mode), "{path} is {:?}", modes.get(path));
    }
    let conffiles = run(Command::new("dpkg-deb").arg("--info").arg(&package).arg("conffiles"))?;
    ensure!(conffiles.trim() == "/etc/notification-hub/config.toml", "{conffiles}");
    let version = run(Command::new("dpkg-deb").arg("--field").arg(&package).arg("Version"))?;
    ensure!(version.trim() == env!("CARGO_PKG_VERSION"), "{version}");

    run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(folder.path()))?;
    let program = run(Command::new(folder.path().join("usr/bin/notification-hub")).arg("--version"))?;
    ensure!(program.trim() == concat!("notification-hub ", env!("CARGO_PKG_VERSION")), "{program}");
    run(Command::new("lintian").args(["--allow-root", "--fail-on", "error"]).arg(&package))?;
    Ok(())
}
