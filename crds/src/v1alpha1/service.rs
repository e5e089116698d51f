//! `spec.service`: the Service that clients connect to.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, labels};

/// Service that clients connect to. It has the name of the hub.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PublicService {
    /// type specifies how the Service is exposed. `ClusterIP`: inside the cluster. `NodePort`: also on a port of every
    /// node. `LoadBalancer`: also by an external load balancer. Defaults to `ClusterIP`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,

    /// ipFamilyPolicy specifies how many IP families the Service has. `SingleStack`: one. `PreferDualStack`: two if the
    /// cluster has two. `RequireDualStack`: two. Defaults to the policy that Kubernetes chooses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,

    /// ipFamilies are the IP families of the Service, the first of which is that of its main address. Kubernetes does not
    /// change the first family of a Service. Defaults to the families that Kubernetes chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ip_families: Vec<IpFamily>,

    /// labels are additional labels of the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// annotations are annotations of the Service. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Number of IP families of a Service.
// In the CRD, the description of an optional enum replaces that of the field.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[schemars(
    description = "ipFamilyPolicy specifies how many IP families the Service has. `SingleStack`: one. `PreferDualStack`: two if \
        the cluster has two. `RequireDualStack`: two. Defaults to the policy that Kubernetes chooses."
)]
pub enum IpFamilyPolicy {
    /// One family.
    SingleStack,
    /// Two families if the cluster has two.
    PreferDualStack,
    /// Two families.
    RequireDualStack,
}

impl IpFamilyPolicy {
    /// Returns the name in the Kubernetes API.
    pub const fn as_str(self) -> &'static str {
        match self {
            IpFamilyPolicy::SingleStack => "SingleStack",
            IpFamilyPolicy::PreferDualStack => "PreferDualStack",
            IpFamilyPolicy::RequireDualStack => "RequireDualStack",
        }
    }
}

/// IP family of a Service.
#[derive(JsonSchema, Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4.
    IPv4,
    /// IPv6.
    IPv6,
}

impl IpFamily {
    /// Returns the name in the Kubernetes API.
    pub const fn as_str(self) -> &'static str {
        match self {
            IpFamily::IPv4 => "IPv4",
            IpFamily::IPv6 => "IPv6",
        }
    }
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
