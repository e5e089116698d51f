//! metrics-server, which serves the CPU usage of pods to autoscalers (`metrics.k8s.io`).

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};

use crate::aggregated_api::AggregatedApi;
use crate::cluster::{folder, run};
use crate::namespace::{CLUSTER_TIMEOUT, Namespace};
use crate::process::Process;
use crate::wait::until;

const GROUP: &str = "metrics.k8s.io";

const VERSION: &str = "v1beta1";

/// A free port in the cluster's network.
const PORT: u16 = 10260;

/// The command line: the shortest resolution that metrics-server permits, and certificates in the cluster's folder.
const COMMAND: &str = r#"
exec "$0" --secure-port="$1" --cert-dir="${KUBECONFIG%/*}/metrics-server" --kubeconfig="$KUBECONFIG" \
  --authentication-kubeconfig="$KUBECONFIG" --authorization-kubeconfig="$KUBECONFIG" --kubelet-insecure-tls \
  --kubelet-preferred-address-types=InternalIP --kubelet-request-timeout=5s --metric-resolution=10s"#;

/// A running metrics-server of one test, or the existing one of the current context.
pub struct MetricsServer {
    _api: Option<AggregatedApi>,
    _process: Option<Process>,
}

impl MetricsServer {
    /// Starts a metrics-server in the cluster's network. With the current context, checks that one exists.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let cluster = namespace.cluster;
        if cluster.is_current_context() {
            let served = cluster.kubectl(&["get", "--raw", &format!("/apis/{GROUP}/{VERSION}")]);
            served.with_context(|| format!("the cluster does not serve {GROUP}; install metrics-server"))?;
            return Ok(Self { _api: None, _process: None });
        }
        let program = run(&mut Command::new(folder().join("metrics-server.sh")))?;
        let mut command = cluster.command("bash");
        command.args(["-c", COMMAND, program.trim(), &PORT.to_string()]);
        let process = Process::start(&command)?;
        until("metrics-server listens", CLUSTER_TIMEOUT, || {
            let connect = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?);
            cluster.run_inside(connect).with_context(|| process.printed())
        })?;
        let api = AggregatedApi::register(namespace, GROUP, VERSION, PORT)?;
        Ok(Self { _api: Some(api), _process: Some(process) })
    }
}
