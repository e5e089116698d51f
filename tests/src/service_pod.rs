//! A pod behind a Service of the same name, for servers that hubs use.

use anyhow::Result;
use serde_json::{Value, json};

use crate::namespace::{CLUSTER_TIMEOUT, Namespace};

/// Starts a container that listens at one port, and waits until it is ready. `container` has the image, the command and other
/// fields. The name, the port and the probe are added.
pub fn start(namespace: &Namespace, name: &str, port: u16, mut container: Value, volumes: &Value) -> Result<()> {
    container["name"] = json!(name);
    container["ports"] = json!([{"containerPort": port}]);
    container["readinessProbe"] = json!({"tcpSocket": {"port": port}, "periodSeconds": 1});
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port}]},
    }))?;
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, "volumes": volumes},
    }))?;
    let timeout = format!("--timeout={}s", CLUSTER_TIMEOUT.as_secs());
    namespace.kubectl(&["wait", "--for=condition=Ready", &timeout, &format!("pod/{name}")]).map(drop)
}
