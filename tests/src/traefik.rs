//! Traefik, a real controller of Ingresses and of the Gateway API.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::{folder, run};
use crate::namespace::{CLUSTER_TIMEOUT, Namespace};
use crate::process::Process;
use crate::wait::until;

/// The name of the IngressClass and of the GatewayClass.
pub const CLASS: &str = "traefik";

/// The ports of the node for Ingresses: HTTP and HTTPS.
pub const INGRESS_PORTS: [u16; 2] = [8000, 8443];

/// The ports of the node for Gateways: HTTP and HTTPS.
pub const GATEWAY_PORTS: [u16; 2] = [8001, 8444];

/// A running Traefik on the cluster's node.
pub struct Traefik {
    /// The address of the node.
    pub node: IpAddr,
    process: Process,
}

impl Traefik {
    /// Starts Traefik in the cluster's network, and creates its classes. The CRDs of the Gateway API must be installed.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let cluster = namespace.cluster;
        namespace.apply(&json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": CLASS},
            "spec": {"controller": "traefik.io/ingress-controller"},
        }))?;
        namespace.apply(&json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        }))?;
        let node = cluster.node()?;
        let program = run(Command::new(folder().join("controllers/build.sh")).arg("traefik"))?;
        let mut command = cluster.command(program.trim());
        for (name, port) in [("web", INGRESS_PORTS[0]), ("websecure", INGRESS_PORTS[1])] {
            command.args([
                format!("--entrypoints.{name}.address=:{port}"),
                format!("--entrypoints.{name}.asdefault=true"),
            ]);
        }
        for (name, port) in [("gateway", GATEWAY_PORTS[0]), ("gatewaysecure", GATEWAY_PORTS[1])] {
            command.arg(format!("--entrypoints.{name}.address=:{port}"));
        }
        command.args(["--entrypoints.websecure.http.tls=true", "--providers.kubernetesgateway=true"]);
        command.args([
            "--providers.kubernetesingress=true",
            "--global.checknewversion=false",
            "--log.level=WARN",
            "--log.nocolor=true",
        ]);
        command.arg(format!("--providers.kubernetesingress.ingressendpoint.ip={node}"));
        let process = Process::start(&command)?;
        until("Traefik listens", CLUSTER_TIMEOUT, || {
            let connect = || Ok(TcpStream::connect((node, INGRESS_PORTS[0]))?);
            cluster.run_inside(connect).with_context(|| process.printed())
        })?;
        Ok(Self { node, process })
    }

    /// Returns the address of a port.
    pub fn address(&self, port: u16) -> SocketAddr {
        (self.node, port).into()
    }

    /// Returns what Traefik has printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }
}

/// Creates a name in the namespace that resolves to the node, and returns it. It is a Service without pods.
pub fn resolve_to_node(namespace: &Namespace, traefik: &Traefik, name: &str, ports: &[u16]) -> Result<String> {
    let list =
        |key: &str| ports.iter().map(|port| json!({"name": format!("p{port}"), key: port})).collect::<Vec<Value>>();
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": list("port")},
    }))?;
    namespace.apply(&json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": if traefik.node.is_ipv4() { "IPv4" } else { "IPv6" },
        "ports": list("port"), "endpoints": [{"addresses": [traefik.node]}],
    }))?;
    Ok(format!("{name}.{}.svc", namespace.name))
}
