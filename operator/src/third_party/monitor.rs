//! ServiceMonitor and PodMonitor of the Prometheus operator. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Spec of a ServiceMonitor.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "ServiceMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Scrape configuration of pods behind Services."
)]
pub struct ServiceMonitorSpec {
    /// Selector of Services.
    pub selector: LabelSelector,
    /// Endpoints of the pods to scrape.
    pub endpoints: Vec<Endpoint>,
}

/// Spec of a PodMonitor.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "monitoring.coreos.com",
    version = "v1",
    kind = "PodMonitor",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "Scrape configuration of pods."
)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitorSpec {
    /// Selector of pods.
    pub selector: LabelSelector,
    /// Endpoints of the pods to scrape.
    pub pod_metrics_endpoints: Vec<Endpoint>,
}

/// Endpoint of metrics.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct Endpoint {
    /// Name of the port.
    pub port: String,
    /// Path of the URL.
    pub path: String,
    /// Interval of scrapes, or `None` for the default of Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
}
