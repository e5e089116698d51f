//! The HTTPRoute, which exposes the hub through a Gateway. No I/O.

use notification_hub_crds::v1alpha1::ExposeHttpRoute;

use crate::build::{metadata, ports};
use crate::model::ValidatedHub;
use crate::third_party::{BackendRef, HttpRoute, HttpRouteMatch, HttpRoutePath, HttpRouteRule, HttpRouteSpec};

/// Returns the HTTPRoute of `expose.httpRoute`.
pub(in crate::build) fn build(hub: &ValidatedHub, spec: &ExposeHttpRoute) -> HttpRoute {
    let prefix =
        |path: &str| HttpRouteMatch { path: HttpRoutePath { type_: "PathPrefix".to_owned(), value: path.to_owned() } };
    let rule = HttpRouteRule {
        matches: ports::PUBLIC_PATHS.map(prefix).into(),
        backend_refs: vec![BackendRef { name: hub.name.to_string(), port: ports::PUBLIC }],
    };
    HttpRoute {
        metadata: metadata::for_child_with(hub, hub.name.as_str(), &spec.labels, &spec.annotations),
        spec: HttpRouteSpec {
            parent_refs: spec.parent_refs.clone(),
            hostnames: spec.hostnames.clone(),
            rules: vec![rule],
        },
        status: None,
    }
}
