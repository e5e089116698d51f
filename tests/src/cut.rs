//! A network cut: what a pod sends to an address goes nowhere, and nobody is told.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::{Cluster, run};

/// A cut that lasts until it is dropped.
pub struct Cut<'a> {
    cluster: &'a Cluster,
    pod: String,
    address: String,
}

/// Runs iptables in the network namespace of a pod, by the first process that belongs to it.
const IN_POD: &str = r#"
for process in /proc/[0-9]*; do
  if grep -qs "pod$1" "$process/cgroup"; then
    exec nsenter --net="$process/ns/net" iptables "$2" OUTPUT --destination "$3" --jump DROP
  fi
done
echo "no process of pod $1" >&2
exit 1"#;

impl<'a> Cut<'a> {
    /// Cuts a pod off from a Service.
    pub fn between(cluster: &'a Cluster, pod: &Value, service: &Value) -> Result<Self> {
        let text = |value: &Value, path: &str| -> Result<String> {
            Ok(value.pointer(path).and_then(Value::as_str).with_context(|| format!("no {path}"))?.to_owned())
        };
        let cut = Self { cluster, pod: text(pod, "/metadata/uid")?, address: text(service, "/spec/clusterIP")? };
        cut.ask("--append")?;
        Ok(cut)
    }

    fn ask(&self, what: &str) -> Result<()> {
        let mut command = self.cluster.command("bash");
        run(command.args(["-c", IN_POD, "bash", &self.pod, what, &self.address])).map(drop)
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        // The pod may have gone meanwhile.
        let _ = self.ask("--delete");
    }
}
