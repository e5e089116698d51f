//! A hub in a namespace of a cluster: connects clients, sends pushes, waits for pods.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::Endpoint;
use crate::http::{self, Connection, Response};
use crate::listener::Listener;
use crate::namespace::Namespace;
use crate::token::{self, Signer};
use crate::wait;
use crate::workload::Workload;

/// The maximum time until a Service routes to an available pod.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns a signer with the key pair that the operator generated for a hub.
pub fn generated_signer(namespace: &Namespace, hub: &str) -> Result<Signer> {
    let pem = namespace.secret(&format!("{hub}-jwt"), "private.pem")?;
    Ok(match EncodingKey::from_rsa_pem(&pem) {
        Ok(key) => Signer::new(Algorithm::RS256, key),
        Err(_) => Signer::new(Algorithm::ES256, EncodingKey::from_ec_pem(&pem)?),
    })
}

/// Connects Microsoft's client over a WebSocket.
pub fn connect(namespace: &Namespace, public: &Endpoint, token: &str, protocol: &str) -> Result<Listener> {
    Listener::connect(namespace.cluster.command("node"), &public.url, token, protocol, &[])
}

/// Requests a WebSocket. Returns the status of the response, and the connection, which closes on drop. `more` holds further
/// header lines, each with its CRLF.
pub fn upgrade(namespace: &Namespace, public: &Endpoint, token: &str, more: &str) -> Result<(u16, Connection)> {
    let address = public.address;
    let more = format!("Authorization: Bearer {token}\r\n{more}");
    namespace.cluster.run_inside(|| {
        let mut connection = Connection::open(address)?;
        connection.write(http::upgrade_request("/hub", "hub", &more).as_bytes())?;
        Ok((connection.response()?.status, connection))
    })
}

/// Waits until a push reaches a new client. Retries, because a pod is available before the node's rules route to it.
pub fn check_delivery(namespace: &Namespace, hub: &str, key: &Signer) -> Result<()> {
    wait::until("a push arrives", SERVICE_TIMEOUT, || deliver_once(namespace, hub, key))
}

fn deliver_once(namespace: &Namespace, hub: &str, key: &Signer) -> Result<()> {
    let (user, folder) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let public = namespace.endpoint(hub, 5000)?;
    let internal = namespace.endpoint(&format!("{hub}-internal"), 5001)?;
    let claims = token::user(&user, &[], "ChromeBrowser", "device");
    let client = connect(namespace, &public, &key.sign(&claims)?, "messagepack")?;
    let sent = send(namespace, &internal, &key.sign(&token::internal())?, &folder_update(&user, &folder))?;
    if sent.status != 200 {
        bail!("the push was answered {}: {}", sent.status, sent.text());
    }
    client.notification(|notification| notification["Payload"]["Id"] == *folder).map(drop)
}

/// Starts a workload of clients that reconnect `speed` times as fast as official ones.
pub fn start_workload(namespace: &Namespace, hub: &str, key: &Signer, clients: usize, speed: u32) -> Result<Workload> {
    let (public, internal) = (namespace.endpoint(hub, 5000)?, namespace.endpoint(&format!("{hub}-internal"), 5001)?);
    let senders = Arc::new(Mutex::new(vec![internal.address]));
    namespace.cluster.run_inside(|| Workload::start(key, public.address, senders, clients, speed))
}

/// Waits until a hub has exactly so many pods and all are ready.
pub fn wait_pods(namespace: &Namespace, hub: &str, pods: usize, within: Duration) -> Result<()> {
    wait::until("the wanted pods are ready", within, || {
        let running = namespace.running_pods(hub)?;
        let ready = |pod: &Value| {
            let conditions = pod["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|it| it["type"] == "Ready" && it["status"] == "True"))
        };
        ensure!(running.len() == pods && running.iter().all(ready), "{} pods", running.len());
        Ok(())
    })
}

/// Returns a push of type 7, `SyncFolderCreate`.
pub fn folder_update(user: &str, folder: &str) -> Value {
    json!({"type": 7, "payload": {"id": folder, "userId": user, "revisionDate": "2026-01-01T00:00:00Z"}, "contextId": null})
}

/// Posts a push to `/send`.
pub fn send(namespace: &Namespace, internal: &Endpoint, token: &str, notification: &Value) -> Result<Response> {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let body = notification.to_string();
    let address = internal.address;
    namespace.cluster.run_inside(|| http::request(address, "POST", "/send", &headers, body.as_bytes()))
}

/// Returns the first four printer columns of the only hub, by `kubectl get nhub`.
pub fn printer_columns(namespace: &Namespace) -> Result<Vec<String>> {
    let table = namespace.kubectl(&["get", "nhub"])?;
    let (head, row) = table.split_once('\n').context("no row")?;
    let head: Vec<_> = head.split_whitespace().collect();
    ensure!(head == ["NAME", "READY", "REPLICAS", "SOURCE", "CONNECTIONS", "AGE"], "other columns: {head:?}");
    let mut row: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
    // The count of connections changes within a minute.
    row.truncate(4);
    Ok(row)
}
