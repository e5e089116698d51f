//! Gateway API's HTTPRoute.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use notification_hub_crds::v1alpha1::ParentReference;
use serde::{Deserialize, Serialize};

/// What a route does.
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
    doc = "Leads requests from a Gateway to Services."
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// What it is attached to.
    pub parent_refs: Vec<ParentReference>,
    /// The hosts that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    /// Where requests are led.
    #[serde(default)]
    pub rules: Vec<HttpRouteRule>,
}

/// Where some requests are led.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteRule {
    /// Which: one of these has to match.
    #[serde(default)]
    pub matches: Vec<HttpRouteMatch>,
    /// Where to.
    #[serde(default)]
    pub backend_refs: Vec<BackendRef>,
}

/// What a request has to be like.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRouteMatch {
    /// Its path.
    pub path: HttpRoutePath,
}

/// What a path has to be like.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRoutePath {
    /// How the value is meant, such as `PathPrefix`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The value.
    pub value: String,
}

/// A Service of the route's namespace.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct BackendRef {
    /// Its name.
    pub name: String,
    /// Its port.
    pub port: i32,
}

/// What others have made of a route.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct HttpRouteStatus {
    /// By what it is attached to.
    #[serde(default)]
    pub parents: Vec<ParentStatus>,
}

/// What one controller says of a route and one of its parents.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ParentStatus {
    /// The parent.
    pub parent_ref: ParentReference,
    /// What it says.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}
