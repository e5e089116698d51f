//! `spec.monitoring`: by which Prometheus finds the hub's metrics.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{interval, labels};

/// Objects of the Prometheus operator, each with the hub's name. One of them is enough: both lead to the metrics of every
/// pod. Where the cluster does not know their kind, they are made once it does.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// A ServiceMonitor, which finds the pods through the Service of metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_monitor: Option<Monitor>,

    /// A PodMonitor, which finds the pods themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_monitor: Option<Monitor>,
}

/// A ServiceMonitor or PodMonitor.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// Whether it is wanted.
    pub enabled: bool,

    /// Its labels, beside those that the operator sets: those by which a Prometheus chooses what it collects. Defaults to
    /// none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// How often metrics are collected. Defaults to how often that Prometheus does it in general.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "interval")]
    pub interval: Option<String>,
}
