//! The number of clients of a hub: scraped pods, missing answers, and updates of the status.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use notification_hub_crds::NotificationHub;
use notification_hub_operator::connections::{Connections, ScrapeError, scrape};
use notification_hub_operator::context::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{HUBS, complete_rollout, context, has_condition, hub, key, minimal_spec, reconcile_once};
use crate::controller::Running;

/// Answers of pods by address. Other pods do not answer.
type Answers = Arc<Mutex<BTreeMap<IpAddr, i64>>>;

/// Returns the connections that are scraped from these answers.
fn connections(answers: &Answers) -> Connections {
    let answers = answers.clone();
    Connections::with_scrape(Arc::new(move |address| {
        let answer = answers.lock().expect("no panic").get(&address).copied();
        std::future::ready(answer.ok_or(ScrapeError::Timeout)).boxed()
    }))
}

fn context_with(answers: &Answers, api: &FakeApi) -> Arc<Context> {
    let mut context = Arc::into_inner(context(api)).expect("the only reference");
    context.connections = connections(answers);
    Arc::new(context)
}

async fn count(context: &Context, hub: &NotificationHub) -> Option<i64> {
    context.connections.count(&context.cluster, &context.metrics, hub).await
}

fn set(answers: &Answers, address: &str, clients: i64) {
    answers.lock().expect("no panic").insert(address.parse().expect("an address"), clients);
}

fn pod(name: &str, address: &str, phase: &str, ready: &str) -> Value {
    let labels = json!({ "app.kubernetes.io/name": "notification-hub", "app.kubernetes.io/instance": "vault" });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "bitwarden", "labels": labels },
        "status": { "phase": phase, "podIP": address, "conditions": [{ "type": "Ready", "status": ready }] },
    })
}

#[tokio::test]
async fn count_sums_running_pods_or_is_none_without_answer() {
    let (api, answers) = (FakeApi::new(), Answers::default());
    let context = context_with(&answers, &api);
    let resource = serde_json::from_value(api.create(hub("vault", minimal_spec()))).expect("a hub");
    assert_eq!(count(&context, &resource).await, None, "no pod");
    api.create(pod("a", "10.0.0.1", "Running", "True"));
    api.create(pod("b", "fd00::2", "Running", "True"));
    api.create(pod("starts", "10.0.0.3", "Running", "False"));
    api.create(pod("over", "10.0.0.4", "Succeeded", "False"));
    let mut other_hub = pod("other-hub", "10.0.0.5", "Running", "True");
    other_hub["metadata"]["labels"]["app.kubernetes.io/instance"] = json!("other");
    api.create(other_hub);
    ["10.0.0.4", "10.0.0.5"].iter().for_each(|address| set(&answers, address, 1000));
    set(&answers, "10.0.0.1", 3);
    assert_eq!(count(&context, &resource).await, None, "b is ready and does not answer");
    set(&answers, "fd00::2", 4);
    assert_eq!(count(&context, &resource).await, Some(7));
    set(&answers, "10.0.0.3", 5);
    assert_eq!(count(&context, &resource).await, Some(12), "a pod that is not ready can have clients");
    let metrics = context.metrics.text().expect("metrics");
    assert!(metrics.contains("scrape_failures_total 3"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn status_connections_are_updated_per_minute_for_large_changes() {
    let (api, answers) = (FakeApi::new(), Answers::default());
    let running = Running::with(&api, &[], context_with(&answers, &api));
    api.create(hub("vault", minimal_spec()));
    api.create(pod("a", "10.0.0.1", "Running", "True"));
    api.until("a Deployment", |api| api.get(&key("apps/deployments", "vault")).is_some()).await;
    complete_rollout(&api, "vault");
    api.until("Ready", |api| has_condition(api, "vault", "Ready", ("True", "Available"))).await;
    let reported = |api: &FakeApi| api.get(&key(HUBS, "vault")).expect("the hub")["status"]["connections"].as_i64();
    assert_eq!(reported(&api), Some(0), "no pod at first");
    let minute = || tokio::time::sleep(Duration::from_secs(61));
    for (clients, expected) in [(100, 100), (109, 100), (110, 110), (99, 99), (0, 0)] {
        set(&answers, "10.0.0.1", clients);
        let version = api.version();
        minute().await;
        assert_eq!(reported(&api), Some(expected), "{clients}");
        let version = if expected == clients { api.version() } else { version };
        minute().await;
        assert_eq!(api.changes_since(version), [""; 0], "{clients}: written once");
    }
    set(&answers, "10.0.0.1", 50);
    minute().await;
    answers.lock().expect("no panic").clear();
    minute().await;
    assert_eq!(reported(&api), Some(50), "unknown, because a ready pod does not answer");
    running.stop().await;

    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile of another process");
    assert_eq!(reported(&api), Some(50));
}

/// Starts a server that answers every request with these bytes, and ends the connection if `ends` is true.
async fn server(answer: &'static [u8], ends: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap_or_default();
            assert!(request[..read].starts_with(b"GET /metrics HTTP/1.1\r\n"));
            stream.write_all(answer).await.expect("it is read");
            if !ends {
                std::future::pending::<()>().await;
            }
        }
    });
    address
}

#[tokio::test]
async fn scrape_is_limited_in_time_and_size() {
    let good = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nnotification_hub_connections{transport=\"websocket\"} 7\n";
    assert_eq!(scrape(server(good, true).await).await.expect("an answer"), 7);
    let error = async |answer, ends| scrape(server(answer, ends).await).await.expect_err("no count").to_string();
    assert_eq!(
        error(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", true).await,
        "the response has status 404 Not Found"
    );
    assert_eq!(
        error(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", true).await,
        "the response has no metrics of a hub"
    );
    assert_eq!(error(b"", false).await, "no answer within 2 s");
    let long = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec(), vec![b'x'; 2 << 20]].concat();
    assert_eq!(error(long.leak(), true).await, "length limit exceeded");
    assert!(!error(b"nonsense", true).await.is_empty());
    let closed_port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    assert!(scrape(closed_port).await.is_err());
}
