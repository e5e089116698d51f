//! `spec.expose`: exposure of the hub outside the cluster.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, hostnames, labels};

/// Exposure of a hub outside the cluster, by at least one of ingress and httpRoute.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ingress) || has(self.httpRoute)")
        .message("expose must specify at least one of ingress and httpRoute; to expose nothing, remove expose")
)]
pub struct Expose {
    /// ingress creates an Ingress for the paths `/notifications/hub` and `/notifications/anonymous-hub`. The Ingress
    /// has the name of the hub. The condition Exposed reports whether it has an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ExposeIngress>,

    /// httpRoute creates an HTTPRoute of the Gateway API for the paths `/notifications/hub` and
    /// `/notifications/anonymous-hub`. The HTTPRoute has the name of the hub. The condition Exposed reports whether its
    /// parents accept it. If the cluster does not serve HTTPRoutes, the operator creates it as soon as the cluster
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<ExposeHttpRoute>,
}

/// Ingress for the paths `/notifications/hub` and `/notifications/anonymous-hub`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeIngress {
    /// className is the name of the IngressClass. Defaults to the default IngressClass of the cluster, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub class_name: Option<String>,

    /// host is the DNS name that clients connect to. A leading `*.` is a wildcard. IP addresses are not allowed.
    /// Defaults to any host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')")
            .message("expose.ingress.host must be a lowercase DNS name, optionally with a leading '*.', and not an IP address")
    )]
    pub host: Option<String>,

    /// tlsSecretName is the name of a Secret of type `kubernetes.io/tls` in the hub's namespace, with the certificate
    /// of host. The operator does not read it. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub tls_secret_name: Option<String>,

    /// labels are additional labels of the Ingress. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// annotations are annotations of the Ingress, such as settings of its controller. The controller's timeout for
    /// idle connections must be longer than 15 seconds, the interval of the hub's pings. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// HTTPRoute for the paths `/notifications/hub` and `/notifications/anonymous-hub`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeHttpRoute {
    /// parentRefs are the parents that the HTTPRoute attaches to, such as Gateways. There must be from 1 to 32.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentReference>,

    /// hostnames are the DNS names that clients connect to, at most 16. A leading `*.` is a wildcard. Defaults to the
    /// host names of the listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "hostnames")]
    pub hostnames: Vec<String>,

    /// labels are additional labels of the HTTPRoute. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// annotations are annotations of the HTTPRoute. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// Parent of an HTTPRoute, as in the Gateway API.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// group is the API group of the parent. An empty group is the core group. Defaults to the group of the Gateway
    /// API, `gateway.networking.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub group: Option<String>,

    /// kind is the kind of the parent. Defaults to the kind `Gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub kind: Option<String>,

    /// namespace is the namespace of the parent. A Gateway in another namespace must allow routes from the hub's
    /// namespace. Defaults to the namespace of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,

    /// name is the name of the parent.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// sectionName is the name of one listener of the parent. If several references name the same parent, each of them
    /// must set it. Defaults to every listener that accepts the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub section_name: Option<String>,

    /// port restricts the route to the listeners of the parent on this port. It must be from 1 to 65535. Defaults to
    /// every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}
