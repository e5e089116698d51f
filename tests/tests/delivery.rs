//! Pushes from `POST /send` reach Microsoft's client, and no client outside of their audience.

use std::process::Command;

use anyhow::{Result, ensure};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use serde_json::json;
use uuid::Uuid;

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const ORGANIZATION: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

fn connect(hub: &LocalHub, user: &str, organizations: &[&str], protocol: &str, more: &[&str]) -> Result<Listener> {
    let organizations: Vec<String> = organizations.iter().map(|id| (*id).to_owned()).collect();
    let token = hub.token(user, &organizations)?;
    Listener::connect(Command::new("node"), &hub.url(), &token, protocol, more)
}

fn log_out(user: &str) -> serde_json::Value {
    json!({ "type": 11, "payload": { "userId": user, "reason": 1 }, "contextId": "test-device" })
}

#[test]
fn push_to_user_reaches_only_their_clients() -> Result<()> {
    let hub = LocalHub::start("reactors = 3")?;
    let json_client = connect(&hub, USER, &[], "json", &["--token-in", "query"])?;
    let binary_client = connect(&hub, USER, &[], "messagepack", &[])?;
    let others: Vec<Listener> = (0..4)
        .map(|_| connect(&hub, &Uuid::new_v4().to_string(), &[ORGANIZATION], "messagepack", &[]))
        .collect::<Result<_>>()?;

    hub.push(&log_out(USER))?;
    let expected = json!({ "type": 11, "payload": { "userId": USER, "reason": 1 }, "contextId": "test-device" });
    ensure!(json_client.notification(|push| push["type"] == 11)? == expected);
    let expected = json!({ "Type": 11, "Payload": { "UserId": USER, "Reason": 1 }, "ContextId": "test-device" });
    ensure!(binary_client.notification(|push| push["Type"] == 11)? == expected);

    // A later push to the other clients proves that the first push was not for them.
    hub.push(&json!({ "type": 18, "payload": { "organizationId": ORGANIZATION, "enabled": true } }))?;
    for other in &others {
        let push = other.notification(|push| push["Type"] == 18)?;
        ensure!(push["Payload"] == json!({ "OrganizationId": ORGANIZATION, "Enabled": true }), "{push}");
        ensure!(other.push_count() == 1);
    }
    ensure!((json_client.push_count(), binary_client.push_count()) == (1, 1));
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="delivered",type="11"}"#)? == 1.0);
    ensure!(hub.metric("notification_hub_frames_delivered_total")? == 6.0);
    Ok(())
}

#[test]
fn push_to_client_type_or_installation_is_filtered() -> Result<()> {
    let installation = "bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb";
    let hub = LocalHub::start(&format!("installation.id = '{installation}'"))?;
    // The token's device is a browser: client type Web, number 1.
    let client = connect(&hub, USER, &[], "messagepack", &[])?;
    let notification = |target: &str, id: &str, client_type: u8| {
        json!({ "type": 20, "payload": { "id": Uuid::new_v4().to_string(), "priority": 2, "global": false,
            "clientType": client_type, target: id, "creationDate": "2026-01-02T03:04:05Z",
            "revisionDate": "2026-01-02T03:04:05Z" } })
    };
    hub.push(&notification("userId", USER, 2))?;
    hub.push(&notification("installationId", ORGANIZATION, 0))?;
    hub.push(&notification("installationId", installation, 3))?;
    ensure!(hub.metric(r#"notification_hub_pushes_total{stage="no_recipient",type="20"}"#)? == 3.0);
    hub.push(&notification("installationId", installation, 1))?;
    hub.push(&notification("userId", USER, 0))?;
    client.notification(|push| push["Payload"]["InstallationId"] == installation)?;
    client.notification(|push| push["Payload"]["UserId"] == USER)?;
    ensure!(client.push_count() == 2);
    Ok(())
}

#[test]
fn unknown_method_invocation_fails_and_keeps_the_connection() -> Result<()> {
    let hub = LocalHub::start("")?;
    for protocol in ["json", "messagepack"] {
        let client = connect(&hub, USER, &[], protocol, &["--invoke", "Nope"])?;
        let answer = client.line("answer", |line| line["invoked"] == "Nope")?;
        let error = "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.";
        ensure!(answer["error"] == error, "{answer}");
        hub.push(&log_out(USER))?;
        client.notification(|push| push["type"] == 11 || push["Type"] == 11)?;
    }
    Ok(())
}

#[test]
fn token_with_400_organizations_in_url_connects() -> Result<()> {
    let hub = LocalHub::start("")?;
    let organizations: Vec<String> = (0..400).map(|_| Uuid::new_v4().to_string()).collect();
    let token = hub.token(USER, &organizations)?;
    ensure!(token.len() > 20_000, "{}", token.len());
    let query = &["--token-in", "query"];
    let client = Listener::connect(Command::new("node"), &hub.url(), &token, "messagepack", query)?;
    hub.push(&json!({ "type": 18, "payload": { "organizationId": organizations[399], "enabled": false } }))?;
    client.notification(|push| push["Payload"]["OrganizationId"] == *organizations[399])?;
    Ok(())
}

#[test]
fn negotiated_websocket_client_receives_pushes() -> Result<()> {
    let hub = LocalHub::start("reactors = 2")?;
    for protocol in ["json", "messagepack"] {
        let client = connect(&hub, USER, &[], protocol, &["--negotiate"])?;
        hub.push(&log_out(USER))?;
        client.notification(|push| push["type"] == 11 || push["Type"] == 11)?;
    }
    let anonymous = &["--negotiate", "--anonymous", ORGANIZATION];
    let client = Listener::connect(Command::new("node"), &hub.url(), "", "json", anonymous)?;
    hub.push(&json!({ "type": 16, "payload": { "userId": USER, "id": ORGANIZATION } }))?;
    client.line("answer", |line| line["target"] == "AuthRequestResponseRecieved")?;
    Ok(())
}
