//! The listener of probes and metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notification_hub_operator::admin::{Admin, serve};
use notification_hub_operator::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn readyz_fails_until_the_api_server_has_answered() {
    let ready = Arc::new(AtomicBool::new(false));
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(serve(listener, Admin { ready: ready.clone(), metrics }));
    let get = async |path: &str| {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it is read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    assert!(get("/livez").await.starts_with("HTTP/1.1 200"), "alive from the start");
    assert!(get("/readyz").await.starts_with("HTTP/1.1 503"));
    assert!(get("/metrics").await.contains("notification_hub_operator_leader 0\n"), "not the leader");
    ready.store(true, Ordering::Relaxed);
    assert!(get("/readyz").await.starts_with("HTTP/1.1 200"), "ready without leadership");
    serving.abort();
}
