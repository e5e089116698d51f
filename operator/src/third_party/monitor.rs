//! The Prometheus operator's ServiceMonitor and PodMonitor.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// What is collected through Services.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "ServiceMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Tells Prometheus of pods, through Services."
)]
pub struct ServiceMonitorSpec {
    /// Which Services.
    pub selector: LabelSelector,
    /// What of the pods behind them.
    pub endpoints: Vec<Endpoint>,
}

/// What is collected from pods.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Tells Prometheus of pods."
)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitorSpec {
    /// Which pods.
    pub selector: LabelSelector,
    /// What of them.
    pub pod_metrics_endpoints: Vec<Endpoint>,
}

/// Where a pod's metrics are.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Endpoint {
    /// Name of the port.
    pub port: String,
    /// Path of the URL.
    pub path: String,
    /// How often they are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
}
