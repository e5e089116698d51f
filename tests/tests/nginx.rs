//! The documented nginx configuration in front of a hub: Microsoft's client connects through it with every transport.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use notification_hub_tests::cluster::run;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::nginx::Nginx;
use notification_hub_tests::{http, wait};
use serde_json::json;
use uuid::Uuid;

#[test]
fn documented_nginx_forwards_clients_of_every_transport() -> Result<()> {
    let hub = LocalHub::start("limits.trusted_proxies = ['127.0.0.1']")?;
    let nginx = Nginx::start(&[hub.public])?;
    for (protocol, options) in [
        ("messagepack", &["--transport", "WebSockets"][..]),
        // Like a browser, which cannot set headers of a WebSocket.
        ("json", &["--transport", "WebSockets", "--token-in", "query"]),
        ("json", &["--transport", "WebSockets", "--negotiate"]),
        ("json", &["--transport", "ServerSentEvents", "--negotiate"]),
        ("messagepack", &["--transport", "LongPolling", "--negotiate"]),
    ] {
        let user = Uuid::new_v4().to_string();
        let mut node = Command::new("node");
        node.env("NODE_EXTRA_CA_CERTS", nginx.certificate());
        let client = Listener::connect(node, &nginx.url, &hub.token(&user, &[])?, protocol, options)?;
        // More than one push, to detect buffering.
        for _ in 0..2 {
            let folder = Uuid::new_v4().to_string();
            let payload = json!({ "id": folder, "userId": user, "revisionDate": "2026-01-01T00:00:00Z" });
            hub.push(&json!({ "type": 7, "payload": payload }))?;
            client.notification(|push| push["payload"]["id"] == *folder || push["Payload"]["Id"] == *folder)?;
        }
        client.stop()?;
    }
    wait::until("the access log has the requests", Duration::from_secs(10), || {
        let log = nginx.log()?;
        ensure!(log.contains("GET /notifications/hub\" 101"), "{log}");
        Ok(())
    })?;
    let log = nginx.log()?;
    ensure!(!log.contains("access_token") && !log.contains('?'), "a query in the log: {log}");
    Ok(())
}

#[test]
fn documented_nginx_blocks_send() -> Result<()> {
    let hub = LocalHub::start("listen.send_on_public = true")?;
    let nginx = Nginx::start(&[hub.public])?;
    let status = |method: &str, path: &str| -> Result<String> {
        let script =
            format!("fetch('{}{path}', {{ method: '{method}' }}).then((it) => console.log(it.status))", nginx.url);
        let mut node = Command::new("node");
        run(node.args(["-e", &script]).env("NODE_EXTRA_CA_CERTS", nginx.certificate()))
    };
    ensure!(status("GET", "/alive")?.trim() == "200");
    ensure!(http::request(hub.public, "POST", "/send", &[], b"")?.status == 401, "the hub itself would listen");
    let status = status("POST", "/send")?;
    ensure!(status.trim() == "404", "{status}");
    Ok(())
}
