//! A part that hubs work with, in a pod of its own behind a Service of its name.

use anyhow::Result;
use serde_json::{Value, json};

use crate::namespace::{Namespace, PATIENCE};

/// Starts a container that serves one port, and waits until it does. What is given of the container is its image, its command
/// and what is special about it.
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
    let timeout = format!("--timeout={}s", PATIENCE.as_secs());
    namespace.kubectl(&["wait", "--for=condition=Ready", &timeout, &format!("pod/{name}")]).map(drop)
}
