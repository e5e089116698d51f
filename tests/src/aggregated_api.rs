//! An API group that a process beside the cluster's node serves, and the API server in its own name.

use anyhow::Result;
use serde_json::json;

use crate::cluster::Cluster;
use crate::namespace::{Namespace, PATIENCE};

/// A group of which the API server knows until this is dropped, which has to be before its server ends: a group that does not
/// answer holds up the deletion of namespaces.
pub struct AggregatedApi {
    cluster: &'static Cluster,
    name: String,
}

impl AggregatedApi {
    /// Has the API server ask this port of the node for a version of a group, and waits until it is answered.
    pub fn register(namespace: &Namespace, group: &str, version: &str, port: u16) -> Result<Self> {
        let (cluster, name) = (namespace.cluster, format!("{version}.{group}"));
        let service = group.replace('.', "-");
        namespace.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {"ports": [{"port": 443, "targetPort": port}]},
        }))?;
        namespace.apply(&json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": [{"name": "", "port": port}], "endpoints": [{"addresses": [cluster.node()?]}],
        }))?;
        let registered = Self { cluster, name };
        namespace.apply(&json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": registered.name},
            "spec": {
                "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                "insecureSkipTLSVerify": true, "service": {"namespace": namespace.name, "name": service},
            },
        }))?;
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        cluster.kubectl(&[
            "wait",
            "--for=condition=Available",
            &timeout,
            &format!("apiservice/{}", registered.name),
        ])?;
        Ok(registered)
    }
}

impl Drop for AggregatedApi {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.kubectl(&["delete", "apiservice", &self.name]) {
            eprintln!("{error:#}");
        }
    }
}
