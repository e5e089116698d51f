//! `spec.service`: the Service that clients connect to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, labels};

/// Service that clients connect to. It has the name of the hub.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PublicService {
    /// type specifies how the Service is exposed. `ClusterIP`: inside the cluster. `NodePort`: also on a port of every
    /// node. `LoadBalancer`: also by an external load balancer. Defaults to `ClusterIP`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,

    /// labels are additional labels of the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// annotations are annotations of the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Type of a Service.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(
    description = "type specifies how the Service is exposed. `ClusterIP`: inside the cluster. `NodePort`: also on a port of \
        every node. `LoadBalancer`: also by an external load balancer. Defaults to `ClusterIP`."
)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// Also on a port of every node.
    NodePort,
    /// Also by an external load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// Returns the name in the Kubernetes API.
    pub const fn as_str(self) -> &'static str {
        match self {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        }
    }
}
