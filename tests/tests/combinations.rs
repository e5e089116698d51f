//! Microsoft's own client on every combination of hub, transport, protocol and negotiation, in Node.js and in a browser.

use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::crowd::Crowd;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::proxy::Proxy;
use notification_hub_tests::wait;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const REQUEST: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const SOON: Duration = Duration::from_secs(40);

const UNSKIPPABLE: &str = "Negotiation can only be skipped when using the WebSocket transport directly.";
const NO_BINARY: &str = "'ServerSentEvents' does not support Binary.";

const NO_METHOD: &str = "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.";

/// All that there are, and what the client says to those that it refuses.
const COMBINATIONS: [(&str, &str, &str, Result<(), &str>); 12] = [
    ("WebSockets", "json", "negotiated", Ok(())),
    ("WebSockets", "json", "unnegotiated", Ok(())),
    ("WebSockets", "messagepack", "negotiated", Ok(())),
    ("WebSockets", "messagepack", "unnegotiated", Ok(())),
    ("ServerSentEvents", "json", "negotiated", Ok(())),
    ("ServerSentEvents", "json", "unnegotiated", Err(UNSKIPPABLE)),
    ("ServerSentEvents", "messagepack", "negotiated", Err(NO_BINARY)),
    ("ServerSentEvents", "messagepack", "unnegotiated", Err(UNSKIPPABLE)),
    ("LongPolling", "json", "negotiated", Ok(())),
    ("LongPolling", "json", "unnegotiated", Err(UNSKIPPABLE)),
    ("LongPolling", "messagepack", "negotiated", Ok(())),
    ("LongPolling", "messagepack", "unnegotiated", Err(UNSKIPPABLE)),
];

/// One client of the table.
struct Client {
    name: String,
    transport: &'static str,
    outcome: Result<(), &'static str>,
    proxy: Proxy,
}

/// Sends something to the clients of both hubs.
fn push(hub: &LocalHub, what: &str) -> Result<()> {
    hub.push(&json!({ "type": 11, "payload": { "userId": USER, "reason": 1 }, "contextId": what }))?;
    hub.push(&json!({ "type": 16, "payload": { "userId": USER, "id": REQUEST }, "contextId": what }))
}

/// Whether every client has heard it.
fn heard(crowd: &Crowd, clients: &[Client], what: &str) -> Result<()> {
    let lines = crowd.lines();
    for Client { name, .. } in clients {
        let said = |push: &Value| push["contextId"] == what || push["ContextId"] == what;
        ensure!(
            lines.iter().any(|line| line["client"] == **name && said(&line["arguments"][0])),
            "{name} did not hear the {what}"
        );
    }
    Ok(())
}

/// Waits until a client's call was answered, or it was refused a connection for that reason.
fn expect(crowd: &Crowd, client: &str, outcome: Result<(), &str>) -> Result<()> {
    let line = crowd.line(client, "outcome", |line| line["invoked"] == "Nope" || line["refused"].is_string())?;
    let refusal = line["refused"].as_str();
    match outcome {
        Ok(()) => ensure!(refusal.is_none() && line["error"] == NO_METHOD, "{line}"),
        Err(says) => ensure!(refusal.is_some_and(|refusal| refusal.contains(says)), "{line}"),
    }
    Ok(())
}

/// Pushes until every client, each of which has lost its connection, is back and hears it.
fn heard_again(hub: &LocalHub, crowd: &Crowd, clients: &[Client], what: &str) -> Result<()> {
    wait::until("all clients are back", SOON, || {
        push(hub, what)?;
        heard(crowd, clients, what)
    })
}

/// Lets a client of every combination join, at both hubs.
fn everybody(crowd: &mut Crowd, hub: &LocalHub) -> Result<Vec<Client>> {
    let token = hub.token(USER, &[])?;
    let mut clients = Vec::new();
    for (transport, protocol, negotiation, outcome) in COMBINATIONS {
        for (path, key, value) in [("hub", "token", token.as_str()), ("anonymous-hub", "anonymous", REQUEST)] {
            // A browser opens six connections to an address and no more: each client gets an address of its own.
            let proxy = Proxy::start(hub.public.port(), Duration::ZERO)?;
            let name = format!("{path}, {transport}, {protocol}, {negotiation}");
            let mut options = json!({ "client": name, "transport": transport, "protocol": protocol, "reconnect": true,
                "negotiate": negotiation == "negotiated", "invoke": "Nope" });
            options["url"] = json!(format!("http://{}", proxy.address));
            options[key] = json!(value);
            crowd.join(&options)?;
            clients.push(Client { name, transport, outcome, proxy });
        }
    }
    Ok(clients)
}

/// Every combination connects, asks, hears, loses its connection, loses its hub, and says good-bye.
fn every_combination(mut crowd: Crowd) -> Result<()> {
    let origin = crowd.origin().unwrap_or("https://vault.example");
    let mut hub = LocalHub::start(&format!("reactors = 2\ncors.origins = ['{origin}']"))?;
    let mut clients = everybody(&mut crowd, &hub)?;
    for Client { name, outcome, .. } in &clients {
        expect(&crowd, name, *outcome)?;
    }
    clients.retain(|client| client.outcome.is_ok());

    push(&hub, "first push")?;
    wait::until("all clients hear", SOON, || heard(&crowd, &clients, "first push"))?;
    clients.iter().for_each(|client| client.proxy.cut_connections());
    heard_again(&hub, &crowd, &clients, "push after the cut")?;
    hub.kill_and_restart()?;
    heard_again(&hub, &crowd, &clients, "push after the restart")?;

    let lines = crowd.stop()?;
    for Client { name, transport, .. } in &clients {
        let told: Vec<&Value> = lines.iter().filter(|line| line["client"] == **name).collect();
        let reconnects = told.iter().filter(|line| line["reconnected"] == true).count();
        // A browser may send a poll that was cut once more by itself.
        ensure!(
            reconnects == 2 || (reconnects == 1 && *transport == "LongPolling"),
            "{name} reconnected {reconnects} times"
        );
        let closes = told.iter().filter(|line| line["closed"] == true).map(|line| &line["error"]);
        ensure!(closes.eq([&Value::Null]), "{name} was not stopped cleanly: {told:?}");
    }
    wait::until("the hub has seen all of them go", SOON, || {
        let closes = |reason| hub.metric(&format!("notification_hub_closes_total{{reason=\"{reason}\"}}"));
        // A client drops its event stream without a wait for what it has posted before.
        let gone = closes("client")? + closes("reset")?;
        ensure!(gone == clients.len() as f64, "{gone} of {}", clients.len());
        Ok(())
    })
}

#[test]
fn signalr_client_in_node_connects_every_way() -> Result<()> {
    every_combination(Crowd::in_node()?)
}

#[test]
fn signalr_client_in_cross_origin_page_connects_every_way() -> Result<()> {
    every_combination(Crowd::in_chromium()?)
}

#[test]
fn cors_response_is_unreadable_for_disallowed_origin() -> Result<()> {
    let mut crowd = Crowd::in_chromium()?;
    let origin = crowd.origin().unwrap_or_default().to_owned();
    let friendly = LocalHub::start(&format!("cors.origins = ['{origin}']"))?;
    let strict = LocalHub::start(&format!("cors.origins = ['{}']", origin.to_uppercase()))?;
    for (client, hub, negotiate, token, outcome) in [
        ("without a token", &friendly, true, None, Err("Status code '401'")),
        ("of another origin", &strict, true, Some(strict.token(USER, &[])?), Err("TypeError: Failed to fetch")),
        // WebSockets are open to all.
        ("with a WebSocket", &strict, false, Some(strict.token(USER, &[])?), Ok(())),
    ] {
        crowd.join(&json!({ "client": client, "url": hub.url(), "negotiate": negotiate, "token": token,
            "invoke": "Nope" }))?;
        expect(&crowd, client, outcome)?;
    }
    crowd.stop().map(drop)
}
