//! `spec.expose`: ways to the hub from outside the cluster.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{annotations, labels};

/// Ways to the hub from outside the cluster. They lead to what clients connect to and to nothing else: notifications
/// cannot be posted through them.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.ingress)")
        .message("say how the hub is to be exposed: give expose.ingress, or leave expose out")
)]
pub struct Expose {
    /// By an Ingress, which has the hub's name. What it came to is told by the condition Exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ExposeIngress>,
}

/// An Ingress to `/notifications/hub` and `/notifications/anonymous-hub`.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ExposeIngress {
    /// The IngressClass; by default the cluster's own default, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub class_name: Option<String>,

    /// The host that clients connect to, perhaps with `*.` in front; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(
        validation = Rule::new(r"self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && !self.matches('^[0-9.]+$')")
            .message("a host is a lower-case DNS name, perhaps with '*.' in front, and no IP address: change expose.ingress.host")
    )]
    pub host: Option<String>,

    /// A Secret of type `kubernetes.io/tls` in the hub's namespace, with the certificate of the host. The operator does
    /// not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub tls_secret_name: Option<String>,

    /// Labels of the Ingress, beside those that the operator sets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the Ingress: what its controller is to be told, such as how long a connection may be silent (the
    /// hub pings its clients every 15 seconds).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}
