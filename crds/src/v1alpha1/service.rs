//! `spec.service`: the Service that clients connect through.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, labels};

/// The Service that clients connect through. It has the hub's name.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PublicService {
    /// Where the Service can be reached: within the cluster (ClusterIP), at a port of every node (NodePort), or at an
    /// address of its own (LoadBalancer). Defaults to `ClusterIP`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,

    /// Labels of the Service, beside those that the operator sets. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Where the Service can be reached: within the cluster (ClusterIP), at a port of every node (NodePort), or at an
/// address of its own (LoadBalancer). Defaults to `ClusterIP`.
#[derive(JsonSchema, Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub enum ServiceType {
    /// Within the cluster.
    #[default]
    ClusterIP,
    /// At a port of every node, too.
    NodePort,
    /// At an address of its own, too.
    LoadBalancer,
}

impl ServiceType {
    /// The name that Kubernetes gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ServiceType::ClusterIP => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
        }
    }
}
