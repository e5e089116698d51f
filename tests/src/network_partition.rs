//! A network partition: packets of a pod to a Service are dropped without a reset.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Cluster, run};

/// A partition that ends on drop.
pub struct NetworkPartition<'a> {
    cluster: &'a Cluster,
    pod: String,
    address: String,
}

/// Runs iptables in the network namespace of the first process of a pod.
const IN_POD: &str = r#"
for process in /proc/[0-9]*; do
  if grep -qs "pod$1" "$process/cgroup"; then
    exec nsenter --net="$process/ns/net" iptables "$2" OUTPUT --destination "$3" --jump DROP
  fi
done
echo "no process of pod $1" >&2
exit 1"#;

impl<'a> NetworkPartition<'a> {
    /// Separates a pod from a Service.
    pub fn start(cluster: &'a Cluster, pod: &Value, service: &Value) -> Result<Self> {
        let text = |value: &Value, path: &str| -> Result<String> {
            Ok(value.pointer(path).and_then(Value::as_str).with_context(|| format!("no {path}"))?.to_owned())
        };
        let partition = Self { cluster, pod: text(pod, "/metadata/uid")?, address: text(service, "/spec/clusterIP")? };
        partition.run_iptables("--append")?;
        Ok(partition)
    }

    fn run_iptables(&self, action: &str) -> Result<()> {
        let mut command = self.cluster.command("bash");
        run(command.args(["-c", IN_POD, "bash", &self.pod, action, &self.address])).map(drop)
    }
}

impl Drop for NetworkPartition<'_> {
    fn drop(&mut self) {
        // The pod may not exist any more.
        let _ = self.run_iptables("--delete");
    }
}
