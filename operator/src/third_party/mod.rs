//! Third-party kinds, which a cluster may lack: those of Gateway API, the Prometheus operator and KEDA. Their types have
//! only the fields that the operator writes, and the parts of the status that it reads.

mod discovery;
mod http_route;
mod monitor;
mod scaled_object;

pub use discovery::{DISCOVERY_INTERVAL, discover, refresh, run_discovery};
pub use http_route::{
    BackendRef, HttpRoute, HttpRouteMatch, HttpRoutePath, HttpRouteRule, HttpRouteSpec, HttpRouteStatus, ParentStatus,
};
pub use monitor::{Endpoint, PodMonitor, PodMonitorSpec, ServiceMonitor, ServiceMonitorSpec};
pub use scaled_object::{Advanced, HpaConfig, ScaleTarget, ScaledObject, ScaledObjectSpec};

use std::collections::BTreeSet;
use std::fmt;

use kube::core::ApiResource;

use crate::cluster::Kind;

/// A third-party kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ThirdPartyKind {
    /// HTTPRoute of Gateway API.
    HttpRoute,
    /// ServiceMonitor of the Prometheus operator.
    ServiceMonitor,
    /// PodMonitor of the Prometheus operator.
    PodMonitor,
    /// ScaledObject of KEDA.
    ScaledObject,
}

impl ThirdPartyKind {
    /// Every kind.
    pub const ALL: [ThirdPartyKind; 4] = [
        ThirdPartyKind::HttpRoute,
        ThirdPartyKind::ServiceMonitor,
        ThirdPartyKind::PodMonitor,
        ThirdPartyKind::ScaledObject,
    ];

    /// Returns the group, version and names of the kind.
    pub fn resource(self) -> ApiResource {
        match self {
            ThirdPartyKind::HttpRoute => ApiResource::erase::<HttpRoute>(&()),
            ThirdPartyKind::ServiceMonitor => ApiResource::erase::<ServiceMonitor>(&()),
            ThirdPartyKind::PodMonitor => ApiResource::erase::<PodMonitor>(&()),
            ThirdPartyKind::ScaledObject => ApiResource::erase::<ScaledObject>(&()),
        }
    }

    /// Returns the field of a spec that requests an object of this kind.
    pub fn field(self) -> &'static str {
        match self {
            ThirdPartyKind::HttpRoute => "expose.httpRoute",
            ThirdPartyKind::ServiceMonitor => "monitoring.serviceMonitor",
            ThirdPartyKind::PodMonitor => "monitoring.podMonitor",
            ThirdPartyKind::ScaledObject => "autoscaling.keda",
        }
    }
}

impl fmt::Display for ThirdPartyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiResource { kind, api_version, .. } = self.resource();
        write!(f, "{kind} ({api_version})")
    }
}

/// Type of the objects of a third-party kind.
pub trait ThirdPartyResource: Kind + Send + Sync + 'static {
    /// The kind.
    const KIND: ThirdPartyKind;
}

impl ThirdPartyResource for HttpRoute {
    const KIND: ThirdPartyKind = ThirdPartyKind::HttpRoute;
}

impl ThirdPartyResource for ServiceMonitor {
    const KIND: ThirdPartyKind = ThirdPartyKind::ServiceMonitor;
}

impl ThirdPartyResource for PodMonitor {
    const KIND: ThirdPartyKind = ThirdPartyKind::PodMonitor;
}

impl ThirdPartyResource for ScaledObject {
    const KIND: ThirdPartyKind = ThirdPartyKind::ScaledObject;
}

/// Set of the third-party kinds that the API server serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServedKinds(BTreeSet<ThirdPartyKind>);

impl ServedKinds {
    /// Returns whether the API server serves this kind.
    pub fn contains(&self, kind: ThirdPartyKind) -> bool {
        self.0.contains(&kind)
    }
}

impl FromIterator<ThirdPartyKind> for ServedKinds {
    fn from_iter<I: IntoIterator<Item = ThirdPartyKind>>(kinds: I) -> ServedKinds {
        ServedKinds(kinds.into_iter().collect())
    }
}
