//! Login with a device: who waits on the anonymous hub hears the answer to its request, also one that came before it.

use std::process::Command;

use anyhow::{Result, ensure};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use serde_json::{Value, json};
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";

fn wait_for(hub: &LocalHub, request: &str, protocol: &str) -> Result<Listener> {
    Listener::connect(Command::new("node"), &hub.url(), "", protocol, &["--anonymous", request])
}

fn answer(request: &Uuid) -> Value {
    json!({ "type": 16, "payload": { "userId": USER, "id": request.to_string() } })
}

fn heard(listener: &Listener) -> Result<Value> {
    let line = listener.line("answer", |line| line["target"] == "AuthRequestResponseRecieved")?;
    Ok(line["arguments"][0].clone())
}

#[test]
fn login_response_reaches_only_the_client_of_its_request() -> Result<()> {
    let hub = LocalHub::start("reactors = 3")?;
    let (request, other) = (Uuid::new_v4(), Uuid::new_v4());
    // Canonical or not: the group is the id, not its text.
    let waiting = wait_for(&hub, &request.to_string().to_uppercase(), "json")?;
    let elsewhere = wait_for(&hub, &other.to_string(), "messagepack")?;
    let nameless = wait_for(&hub, "no-id", "json")?;
    hub.push(&answer(&request))?;
    ensure!(heard(&waiting)?["payload"] == json!({ "userId": USER, "id": request.to_string() }));
    hub.push(&answer(&other))?;
    ensure!(heard(&elsewhere)?["Payload"]["Id"] == other.to_string());
    // What users hear is not for them, not even by their ids.
    hub.push(&json!({ "type": 11, "payload": { "userId": request.to_string() } }))?;
    ensure!(hub.metric(r#"notification_hub_notifications_total{stage="no_recipient",type="11"}"#)? == 1.0);
    ensure!(hub.metric(r#"notification_hub_notifications_total{stage="delivered",type="16"}"#)? == 2.0);
    nameless.stop()
}

#[test]
fn login_response_before_the_client_is_sent_on_connect() -> Result<()> {
    let hub = LocalHub::start("reactors = 3")?;
    let request = Uuid::new_v4();
    hub.push(&answer(&request))?;
    ensure!(hub.metric(r#"notification_hub_notifications_total{stage="no_recipient",type="16"}"#)? == 1.0);
    for protocol in ["messagepack", "json"] {
        let late = wait_for(&hub, &request.to_string(), protocol)?;
        let answer = heard(&late)?;
        ensure!(answer["Type"] == 16 || answer["type"] == 16, "{answer}");
        late.stop()?;
    }
    Ok(())
}
