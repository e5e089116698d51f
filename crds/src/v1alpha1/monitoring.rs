//! `spec.monitoring`: objects by which Prometheus finds the hub's metrics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{interval, labels};

/// Objects of the Prometheus Operator. Each has the name of the hub.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// serviceMonitor is a ServiceMonitor, which finds the pods through the hub's Service for metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<Monitor>,

    /// podMonitor is a PodMonitor, which finds the pods directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_monitor: Option<Monitor>,
}

/// ServiceMonitor or PodMonitor.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// enabled specifies whether the operator creates the monitor.
    pub enabled: bool,

    /// labels are additional labels of the monitor, such as those by which a Prometheus selects its monitors. Defaults
    /// to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// interval is the time between two scrapes, as a duration such as `1m30s` with the longest unit first. Defaults to
    /// the global interval of the Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "interval")]
    pub interval: Option<String>,
}
