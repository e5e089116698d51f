//! A hub in a namespace, as its clients, its senders and `kubectl` see it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::Account;
use crate::cluster::Reach;
use crate::http::{self, Connection, Response};
use crate::listener::Listener;
use crate::namespace::Namespace;
use crate::token::{self, Signer};
use crate::wait;

/// How long a Service may take to lead to a pod that is available.
const LED_THERE: Duration = Duration::from_secs(30);

/// The signer with the key that the operator has made.
pub fn generated_key(namespace: &Namespace, hub: &str) -> Result<Signer> {
    let pem = namespace.secret(&format!("{hub}-jwt"), "private.pem")?;
    Ok(match EncodingKey::from_rsa_pem(&pem) {
        Ok(key) => Signer::new(Algorithm::RS256, key),
        Err(_) => Signer::new(Algorithm::ES256, EncodingKey::from_ec_pem(&pem)?),
    })
}

/// Connects Microsoft's client.
pub fn connect(namespace: &Namespace, public: &Reach, token: &str, protocol: &str) -> Result<Listener> {
    Listener::connect(namespace.cluster.command("node"), &public.url, token, protocol, &[])
}

/// How a hub answers a client that asks for a WebSocket; the connection stays open with what is given back. `more` is whole
/// header lines, each with its line's end.
pub fn upgrade(namespace: &Namespace, public: &Reach, token: &str, more: &str) -> Result<(u16, Connection)> {
    let address = public.address;
    let more = format!("Authorization: Bearer {token}\r\n{more}");
    namespace.cluster.inside(|| {
        let mut connection = Connection::open(address)?;
        connection.write(http::upgrade("/hub", "hub", &more).as_bytes())?;
        Ok((connection.response()?.status, connection))
    })
}

/// Connects a client and sends it a push. A pod is available a moment before the node's rules lead its Services to it.
pub fn delivers(namespace: &Namespace, hub: &str, key: &Signer) -> Result<()> {
    wait::until("a push that arrives", LED_THERE, || delivers_now(namespace, hub, key))
}

fn delivers_now(namespace: &Namespace, hub: &str, key: &Signer) -> Result<()> {
    let (user, folder) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let public = namespace.reach(hub, 5000)?;
    let internal = namespace.reach(&format!("{hub}-internal"), 5001)?;
    let claims = token::user(&user, &[], "ChromeBrowser", "device");
    let client = connect(namespace, &public, &key.sign(&claims)?, "messagepack")?;
    let sent = send(namespace, &internal, &key.sign(&token::internal())?, &folder_update(&user, &folder))?;
    if sent.status != 200 {
        bail!("the answer is {}: {}", sent.status, sent.text());
    }
    client.notification(|notification| notification["Payload"]["Id"] == *folder).map(drop)
}

/// Opens the ledger of so many clients, whose clocks are so many times as fast as those of official ones.
pub fn account(namespace: &Namespace, hub: &str, key: &Signer, clients: usize, speed: u32) -> Result<Account> {
    let (public, internal) = (namespace.reach(hub, 5000)?, namespace.reach(&format!("{hub}-internal"), 5001)?);
    let senders = Arc::new(Mutex::new(vec![internal.address]));
    namespace.cluster.inside(|| Account::open(key, public.address, senders, clients, speed))
}

/// Waits until a hub has so many pods, and all of them are ready.
pub fn wait_pods(namespace: &Namespace, hub: &str, pods: usize, within: Duration) -> Result<()> {
    wait::until("as many pods as are wanted", within, || {
        let running = namespace.running_pods(hub)?;
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
        };
        ensure!(running.len() == pods && running.iter().all(ready), "{} pods", running.len());
        Ok(())
    })
}

/// A notification of type 7, SyncFolderCreate.
pub fn folder_update(user: &str, folder: &str) -> Value {
    json!({"type": 7, "payload": {"id": folder, "userId": user, "revisionDate": "2026-01-01T00:00:00Z"}, "contextId": null})
}

/// Posts a notification, as a sender does.
pub fn send(namespace: &Namespace, internal: &Reach, token: &str, notification: &Value) -> Result<Response> {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = notification.to_string();
    let address = internal.address;
    namespace.cluster.inside(|| http::request(address, "POST", "/send", &headers, body.as_bytes()))
}

/// What `kubectl get nhub` prints of the one hub, but for its age.
pub fn columns(namespace: &Namespace) -> Result<Vec<String>> {
    let table = namespace.kubectl(&["get", "nhub"])?;
    let (head, row) = table.split_once('\n').context("no row")?;
    let head: Vec<_> = head.split_whitespace().collect();
    ensure!(head == ["NAME", "READY", "REPLICAS", "SOURCE", "CONNECTIONS", "AGE"], "other columns: {head:?}");
    let mut row: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
    // Clients are counted within a minute.
    row.truncate(4);
    Ok(row)
}
