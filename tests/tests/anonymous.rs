//! Login with a device: a client of the anonymous hub receives the response to its request, also one from before its connect.

use std::process::Command;

use anyhow::{Result, ensure};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use serde_json::{Value, json};
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

/// Connects a client that waits for a login request.
fn connect(hub: &LocalHub, request: &str, protocol: &str) -> Result<Listener> {
    Listener::connect(Command::new("node"), &hub.url(), "", protocol, &["--anonymous", request])
}

fn response(request: &Uuid) -> Value {
    json!({ "type": 16, "payload": { "userId": USER, "id": request.to_string() } })
}

/// Waits for the login response of a client.
fn wait_response(listener: &Listener) -> Result<Value> {
    let line = listener.line("response", |line| line["target"] == "AuthRequestResponseRecieved")?;
    Ok(line["arguments"][0].clone())
}

#[test]
fn login_response_reaches_only_the_client_of_its_request() -> Result<()> {
    let hub = LocalHub::start("reactors = 3")?;
    let (request, other) = (Uuid::new_v4(), Uuid::new_v4());
    // The group is the id, in any spelling.
    let waiting = connect(&hub, &request.to_string().to_uppercase(), "json")?;
    let elsewhere = connect(&hub, &other.to_string(), "messagepack")?;
    let nameless = connect(&hub, "no-id", "json")?;
    hub.push(&response(&request))?;
    ensure!(wait_response(&waiting)?["payload"] == json!({ "userId": USER, "id": request.to_string() }));
    hub.push(&response(&other))?;
    ensure!(wait_response(&elsewhere)?["Payload"]["Id"] == other.to_string());
    // A push to a user is not for login requests, even with the id of one.
    hub.push(&json!({ "type": 11, "payload": { "userId": request.to_string() } }))?;
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="no_recipient",type="11"}"#)? == 1.0);
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="delivered",type="16"}"#)? == 2.0);
    nameless.stop()
}

#[test]
fn login_response_before_the_client_is_sent_on_connect() -> Result<()> {
    let hub = LocalHub::start("reactors = 3")?;
    let request = Uuid::new_v4();
    hub.push(&response(&request))?;
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="no_recipient",type="16"}"#)? == 1.0);
    for protocol in ["messagepack", "json"] {
        let late = connect(&hub, &request.to_string(), protocol)?;
        let response = wait_response(&late)?;
        ensure!(response["Type"] == 16 || response["type"] == 16, "{response}");
        late.stop()?;
    }
    Ok(())
}
