//! HTTPRoute of Gateway API. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use notification_hub_crds::v1alpha1::ParentReference;
use serde::{Deserialize, Serialize};

/// Spec of an HTTPRoute.
#[derive(CustomResource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    root = "HttpRoute",
    namespaced,
    status = "HttpRouteStatus",
    schema = "disabled",
    derive = "PartialEq",
    doc = "Route of requests from a Gateway to Services."
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// Gateways or other parents of the route.
    pub parent_refs: Vec<ParentReference>,
    /// Host names of requests. Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Rules of the route.
    #[serde(default)]
    pub rules: Vec<HttpRouteRule>,
}

/// Rule of an HTTPRoute.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Matches, one of which a request must satisfy.
    #[serde(default)]
    pub matches: Vec<HttpRouteMatch>,
    /// Services that get the requests.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

/// Match of a request.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRouteMatch {
    /// Match of the path.
    pub path: HttpRoutePath,
}

/// Match of a path.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRoutePath {
    /// Type of the match, such as `PathPrefix`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Value of the match.
    pub value: String,
}

/// Reference to a Service in the namespace of the route.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct BackendRef {
    /// Name of the Service.
    pub name: String,
    /// Port of the Service.
    pub port: i32,
}

/// Status of an HTTPRoute.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRouteStatus {
    /// Status for each parent, from its controller.
    #[serde(default)]
    pub parents: Vec<ParentStatus>,
}

/// Status of a route for one parent.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent.
    pub parent_ref: ParentReference,
    /// Conditions of the controller.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
