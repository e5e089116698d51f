//! A replacement of prometheus-adapter. It serves the number of connections of a hub's pods to autoscalers
//! (`custom.metrics.k8s.io`), from the pods' `/metrics`.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::aggregated_api::AggregatedApi;
use crate::cluster::run;
use crate::namespace::Namespace;
use crate::{certificate, http};

const GROUP: &str = "custom.metrics.k8s.io";

const VERSION: &str = "v1beta2";

const METRIC: &str = "notification_hub_connections";

/// A running adapter.
pub struct MetricsAdapter {
    _api: AggregatedApi,
}

/// The hub whose pods are scraped.
struct HubPods {
    namespace: Namespace,
    hub: String,
}

impl MetricsAdapter {
    /// Starts an adapter for a hub in the cluster's network. Its threads end with the process.
    pub fn start(namespace: &Namespace, hub: &str) -> Result<Self> {
        let tls = Arc::new(tls()?);
        let own_namespace = Namespace { cluster: namespace.cluster, name: namespace.name.clone() };
        let pods = Arc::new(HubPods { namespace: own_namespace, hub: hub.to_owned() });
        let serve = || {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            let port = listener.local_addr()?.port();
            // A thread inherits the network namespace of its parent.
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (tls, pods) = (tls.clone(), pods.clone());
                    // An error means that the client has closed the connection.
                    std::thread::spawn(move || _ = pods.answer(stream, tls));
                }
            });
            Ok(port)
        };
        let port = namespace.cluster.run_inside(serve)?;
        Ok(Self { _api: AggregatedApi::register(namespace, GROUP, VERSION, port)? })
    }
}

fn tls() -> Result<ServerConfig> {
    let files = tempfile::tempdir()?;
    certificate::make(files.path(), "DNS:adapter")?;
    let certificate = CertificateDer::from_pem_file(files.path().join("certificate"))?;
    let key = PrivateKeyDer::from_pem_file(files.path().join("key"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    Ok(builder.with_single_cert(vec![certificate], key)?)
}

impl HubPods {
    fn answer(&self, stream: TcpStream, tls: Arc<ServerConfig>) -> Result<()> {
        let mut stream = StreamOwned::new(ServerConnection::new(tls)?, stream);
        let mut lines = BufReader::new(&mut stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let target = request.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let group = format!("/apis/{GROUP}/{VERSION}");
        let (status, body) = match path.strip_prefix(&group) {
            Some("") => ("200 OK", self.resources()),
            Some(path) if path.starts_with("/namespaces/") && path.ends_with(METRIC) => ("200 OK", self.values()?),
            _ => ("404 Not Found", json!({})),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )?;
        stream.conn.send_close_notify();
        Ok(stream.flush()?)
    }

    fn resources(&self) -> Value {
        let resource = json!({
            "name": format!("pods/{METRIC}"), "singularName": "", "namespaced": true, "kind": "MetricValueList",
            "verbs": ["get"],
        });
        let version = format!("{GROUP}/{VERSION}");
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [resource]})
    }

    /// Returns the number of connections of each pod that serves metrics.
    fn values(&self) -> Result<Value> {
        let now = run(std::process::Command::new("date").args(["--utc", "+%FT%TZ"]))?;
        let pods = self.namespace.running_pods(&self.hub)?;
        let item = |pod: &Value| {
            let object = json!({
                "apiVersion": "v1", "kind": "Pod", "namespace": self.namespace.name, "name": pod["metadata"]["name"],
            });
            let value = connections(pod).ok()?;
            Some(
                json!({"describedObject": object, "metric": {"name": METRIC}, "timestamp": now.trim(), "value": value}),
            )
        };
        let items: Vec<Value> = pods.iter().filter_map(item).collect();
        Ok(json!({
            "kind": "MetricValueList", "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {}, "items": items,
        }))
    }
}

/// Returns the sum of a pod's series. A pod without a series is an error, as Prometheus would not know it either.
fn connections(pod: &Value) -> Result<String> {
    let address: Ipv4Addr = pod["status"]["podIP"].as_str().context("no address")?.parse()?;
    let metrics = http::get(SocketAddr::from((address, 9090)), "/metrics")?.text();
    let series = metrics.lines().filter_map(|line| line.strip_prefix(METRIC)?.strip_prefix('{')?.rsplit(' ').next());
    let counts = series.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    ensure!(!counts.is_empty(), "the pod has no series {METRIC}");
    Ok(counts.iter().sum::<u64>().to_string())
}
