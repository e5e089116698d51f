//! metrics-server, from which autoscalers learn how much CPU pods use (`metrics.k8s.io`).

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use anyhow::{Context, Result};

use crate::aggregated_api::AggregatedApi;
use crate::cluster::{folder, run};
use crate::namespace::{Namespace, PATIENCE};
use crate::process::Process;
use crate::wait::until;

const GROUP: &str = "metrics.k8s.io";

const VERSION: &str = "v1beta1";

/// In the namespaces of the cluster, where nobody else has it.
const PORT: u16 = 10260;

/// It looks at pods as often as it can, and writes below the cluster's own folder.
const START: &str = r#"
exec "$0" --secure-port="$1" --cert-dir="${KUBECONFIG%/*}/metrics-server" --kubeconfig="$KUBECONFIG" \
  --authentication-kubeconfig="$KUBECONFIG" --authorization-kubeconfig="$KUBECONFIG" --kubelet-insecure-tls \
  --kubelet-preferred-address-types=InternalIP --kubelet-request-timeout=5s --metric-resolution=10s"#;

/// A running metrics-server of one test, or the one of the user's cluster.
pub struct MetricsServer {
    _api: Option<AggregatedApi>,
    _process: Option<Process>,
}

impl MetricsServer {
    /// Starts one, beside the node and in the name of this namespace; in the current context one has to be there.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let cluster = namespace.cluster;
        if cluster.is_current_context() {
            let served = cluster.kubectl(&["get", "--raw", &format!("/apis/{GROUP}/{VERSION}")]);
            served.with_context(|| {
                format!("the cluster has to serve the metrics of pods ({GROUP}): install metrics-server")
            })?;
            return Ok(Self { _api: None, _process: None });
        }
        let program = run(&mut Command::new(folder().join("metrics-server.sh")))?;
        let mut command = cluster.command("bash");
        command.args(["-c", START, program.trim(), &PORT.to_string()]);
        let process = Process::start(&command)?;
        until("metrics-server listens", PATIENCE, || {
            let connect = || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))?);
            cluster.inside(connect).with_context(|| process.printed())
        })?;
        let api = AggregatedApi::register(namespace, GROUP, VERSION, PORT)?;
        Ok(Self { _api: Some(api), _process: Some(process) })
    }
}
