//! An aggregated API: an API group that the API server forwards to a process beside the cluster's node.

use anyhow::Result;
use serde_json::json;

use crate::cluster::Cluster;
use crate::namespace::{CLUSTER_TIMEOUT, Namespace};

/// A registered API group, unregistered on drop. Drop it before its server ends, because an API group without an answer blocks
/// the deletion of namespaces.
pub struct AggregatedApi {
    cluster: &'static Cluster,
    name: String,
}

impl AggregatedApi {
    /// Registers a version of a group at a port of the node, and waits until it is available.
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
        let timeout = format!("--timeout={}s", CLUSTER_TIMEOUT.as_secs());
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
