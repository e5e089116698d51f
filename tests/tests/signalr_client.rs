//! The hub without Kubernetes, against Microsoft's SignalR client.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{programs, run};
use notification_hub_tests::http::{self, Response};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::process::Process;
use rustix::process::Signal;
use serde_json::Value;

/// How long a hub may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// `notification-hub dev`, and what it tells of itself.
struct Hub {
    process: Process,
    told: Value,
}

impl Hub {
    fn start() -> Result<Self> {
        let mut command = Command::new(programs()?.join("notification-hub"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--json"]);
        let process = Process::start(&command)?;
        let told = process.json("line about itself", PATIENCE, |line| line["url"].is_string())?;
        Ok(Self { process, told })
    }

    fn told(&self, what: &str) -> Result<&str> {
        self.told[what].as_str().with_context(|| format!("no {what} in {}", self.told))
    }

    fn client(&self, token: &str, protocol: &str) -> Result<Listener> {
        Listener::connect(Command::new("node"), self.told("url")?, token, protocol)
    }

    fn upgrade(&self, token: &str) -> Result<Response> {
        let address = self.told("url")?.trim_start_matches("http://").parse()?;
        let authorization = format!("Bearer {token}");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        http::request(address, "GET", "/hub", &headers, b"")
    }

    fn push(&self, token: &str) -> Result<()> {
        let mut command = Command::new(programs()?.join("notification-hub"));
        command.args(["push", "--url", self.told("sendUrl")?, "--token", token, "--type", "SyncVault"]);
        run(command.args(["--user", self.told("user")?])).map(drop)
    }
}

#[test]
fn a_push_arrives_in_both_protocols() -> Result<()> {
    let hub = Hub::start()?;
    let (json, messagepack) =
        (hub.client(hub.told("userToken")?, "json")?, hub.client(hub.told("userToken")?, "messagepack")?);
    hub.push(hub.told("internalToken")?)?;
    let user = hub.told("user")?;
    json.notification(|notification| notification["type"] == 5 && notification["payload"]["userId"] == *user)?;
    messagepack.notification(|notification| notification["Type"] == 5 && notification["Payload"]["UserId"] == *user)?;
    Ok(())
}

#[test]
fn a_bad_token_is_refused_and_the_hub_goes_on() -> Result<()> {
    let hub = Hub::start()?;
    let mut broken = hub.told("userToken")?.to_owned();
    broken.truncate(broken.rfind('.').context("no token")? + 1);
    for bad in [broken.as_str(), "nonsense"] {
        ensure!(hub.client(bad, "json").is_err(), "a bad token is accepted");
        // The client keeps the status to itself.
        let refused = hub.upgrade(bad)?;
        ensure!(refused.status == 401, "refused with {}", refused.status);
        ensure!(refused.header("www-authenticate").is_some(), "no WWW-Authenticate in {:?}", refused.headers);
        ensure!(hub.push(bad).is_err(), "a bad token may push");
    }
    let client = hub.client(hub.told("userToken")?, "json")?;
    hub.push(hub.told("internalToken")?)?;
    client.notification(|notification| notification["type"] == 5).map(drop)
}

#[test]
fn a_hub_that_is_asked_to_end_closes_its_connections() -> Result<()> {
    let mut hub = Hub::start()?;
    let client = hub.client(hub.told("userToken")?, "messagepack")?;
    hub.process.signal(Signal::TERM)?;
    client.wait_closed()?;
    let status = hub.process.wait(PATIENCE)?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}
