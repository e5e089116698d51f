//! `spec.expose`: ways to the hub from outside the cluster.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, hostnames, labels};

/// Ways to the hub from outside the cluster. They lead to what clients connect to and to nothing else: notifications
/// cannot be posted through them.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ingress) || has(self.httpRoute)")
        .message("say how the hub is to be exposed: give expose.ingress or expose.httpRoute, or leave expose out")
)]
pub struct Expose {
    /// By an Ingress to `/notifications/hub` and `/notifications/anonymous-hub`, which has the hub's name. What it came to
    /// is told by the condition Exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ExposeIngress>,

    /// By an HTTPRoute of Gateway API, which has the hub's name. What it came to is told by the condition Exposed, also that
    /// the cluster does not know HTTPRoutes: the route is made once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<ExposeHttpRoute>,
}

/// An Ingress to `/notifications/hub` and `/notifications/anonymous-hub`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeIngress {
    /// The IngressClass. Defaults to the cluster's own default, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub class_name: Option<String>,

    /// The host that clients connect to, perhaps with `*.` in front. Defaults to any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')")
            .message("a host is a lower-case DNS name, perhaps with '*.' in front, and no IP address: change expose.ingress.host")
    )]
    pub host: Option<String>,

    /// A Secret of type `kubernetes.io/tls` in the hub's namespace, with the certificate of the host. The operator does
    /// not read it. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub tls_secret_name: Option<String>,

    /// Labels of the Ingress, beside those that the operator sets. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the Ingress: what its controller is to be told, such as how long a connection may be silent (the
    /// hub pings its clients every 15 seconds). Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// An HTTPRoute to `/notifications/hub` and `/notifications/anonymous-hub`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExposeHttpRoute {
    /// What the route is attached to, such as a Gateway.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentReference>,

    /// The hosts that clients connect to, perhaps with `*.` in front. Defaults to those of the listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "hostnames")]
    pub hostnames: Vec<String>,

    /// Labels of the HTTPRoute, beside those that the operator sets. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the HTTPRoute. Defaults to none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// What a route is attached to, as Gateway API has it.
#[derive(JsonSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// Its API group; empty for the core group. Defaults to Gateway API's, `gateway.networking.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = r"^$|^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub group: Option<String>,

    /// Its kind. Defaults to that of Gateways, `Gateway`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub kind: Option<String>,

    /// Its namespace. A Gateway of another one than the hub's has to allow routes from there. Defaults to the hub's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,

    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// One listener of it, by its name. Has to be given for each where one parent is named more than once. Defaults to every
    /// one that lets the route in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub section_name: Option<String>,

    /// Only its listeners on this port. Defaults to all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}
