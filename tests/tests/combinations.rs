//! Microsoft's client with each combination of hub, transport, protocol and negotiation, in Node.js and in a browser.

use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::crowd::Crowd;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::proxy::Proxy;
use notification_hub_tests::wait;
use serde_json::{Value, json};

const USER: &str = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
const REQUEST: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
const WAIT_TIMEOUT: Duration = Duration::from_secs(40);

const UNSKIPPABLE: &str = "Negotiation can only be skipped when using the WebSocket transport directly.";
const NO_BINARY: &str = "'ServerSentEvents' does not support Binary.";

const NO_METHOD: &str = "Failed to invoke 'Nope' due to an error on the server. HubException: Method does not exist.";

/// All combinations, with the error of the client for those that it rejects.
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

/// A client with one combination.
struct Client {
    name: String,
    transport: &'static str,
    outcome: Result<(), &'static str>,
    proxy: Proxy,
}

/// Sends a push with a context id to the clients of each hub.
fn push(hub: &LocalHub, what: &str) -> Result<()> {
    hub.push(&json!({ "type": 11, "payload": { "userId": USER, "reason": 1 }, "contextId": what }))?;
    hub.push(&json!({ "type": 16, "payload": { "userId": USER, "id": REQUEST }, "contextId": what }))
}

/// Fails unless every client has received the push with a context id.
fn check_received(crowd: &Crowd, clients: &[Client], what: &str) -> Result<()> {
    let lines = crowd.lines();
    for Client { name, .. } in clients {
        let said = |push: &Value| push["contextId"] == what || push["ContextId"] == what;
        ensure!(
            lines.iter().any(|line| line["client"] == **name && said(&line["arguments"][0])),
            "{name} did not receive the {what}"
        );
    }
    Ok(())
}

/// Waits until the invocation of a client is answered, or its connect is rejected with an error.
fn wait_outcome(crowd: &Crowd, client: &str, outcome: Result<(), &str>) -> Result<()> {
    let line = crowd.line(client, "outcome", |line| line["invoked"] == "Nope" || line["refused"].is_string())?;
    let refusal = line["refused"].as_str();
    match outcome {
        Ok(()) => ensure!(refusal.is_none() && line["error"] == NO_METHOD, "{line}"),
        Err(says) => ensure!(refusal.is_some_and(|refusal| refusal.contains(says)), "{line}"),
    }
    Ok(())
}

/// Sends pushes until every client has reconnected and received one.
fn wait_received_again(hub: &LocalHub, crowd: &Crowd, clients: &[Client], what: &str) -> Result<()> {
    wait::until("all clients are back", WAIT_TIMEOUT, || {
        push(hub, what)?;
        check_received(crowd, clients, what)
    })
}

/// Connects a client of each combination to each hub.
fn connect_all(crowd: &mut Crowd, hub: &LocalHub) -> Result<Vec<Client>> {
    let token = hub.token(USER, &[])?;
    let mut clients = Vec::new();
    for (transport, protocol, negotiation, outcome) in COMBINATIONS {
        for (path, key, value) in [("hub", "token", token.as_str()), ("anonymous-hub", "anonymous", REQUEST)] {
            // A browser opens at most six connections to an address, so each client gets its own.
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

/// Tests each combination: connect, invocation, push, lost connection, restarted hub, clean close.
fn test_every_combination(mut crowd: Crowd) -> Result<()> {
    let origin = crowd.origin().unwrap_or("https://vault.example");
    let mut hub = LocalHub::start(&format!("reactors = 2\ncors.origins = ['{origin}']"))?;
    let mut clients = connect_all(&mut crowd, &hub)?;
    for Client { name, outcome, .. } in &clients {
        wait_outcome(&crowd, name, *outcome)?;
    }
    clients.retain(|client| client.outcome.is_ok());

    push(&hub, "first push")?;
    wait::until("all clients receive the push", WAIT_TIMEOUT, || check_received(&crowd, &clients, "first push"))?;
    clients.iter().for_each(|client| client.proxy.cut_connections());
    wait_received_again(&hub, &crowd, &clients, "push after the cut")?;
    hub.kill_and_restart()?;
    wait_received_again(&hub, &crowd, &clients, "push after the restart")?;

    let lines = crowd.stop()?;
    for Client { name, transport, .. } in &clients {
        let own_lines: Vec<&Value> = lines.iter().filter(|line| line["client"] == **name).collect();
        let reconnects = own_lines.iter().filter(|line| line["reconnected"] == true).count();
        // A browser may repeat a poll whose connection was cut.
        ensure!(
            reconnects == 2 || (reconnects == 1 && *transport == "LongPolling"),
            "{name} reconnected {reconnects} times"
        );
        let closes = own_lines.iter().filter(|line| line["closed"] == true).map(|line| &line["error"]);
        ensure!(closes.eq([&Value::Null]), "{name} was not stopped cleanly: {own_lines:?}");
    }
    wait::until("the hub has closed all connections", WAIT_TIMEOUT, || {
        let closes = |reason| hub.metric(&format!("notification_hub_connections_closed_total{{reason=\"{reason}\"}}"));
        // A client may drop its event stream before the hub has read its last post.
        let gone = closes("client")? + closes("reset")?;
        ensure!(gone == clients.len() as f64, "{gone} of {}", clients.len());
        Ok(())
    })
}

#[test]
fn signalr_client_in_node_connects_every_way() -> Result<()> {
    test_every_combination(Crowd::in_node()?)
}

#[test]
fn signalr_client_in_cross_origin_page_connects_every_way() -> Result<()> {
    test_every_combination(Crowd::in_chromium()?)
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
        // CORS does not apply to WebSockets.
        ("with a WebSocket", &strict, false, Some(strict.token(USER, &[])?), Ok(())),
    ] {
        crowd.join(&json!({ "client": client, "url": hub.url(), "negotiate": negotiate, "token": token,
            "invoke": "Nope" }))?;
        wait_outcome(&crowd, client, outcome)?;
    }
    crowd.stop().map(drop)
}
