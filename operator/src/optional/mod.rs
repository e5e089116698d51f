//! Kinds that a cluster need not know: those of Gateway API, the Prometheus operator and KEDA. Of each only what the operator
//! writes, and what it reads of its status.

mod discovery;
mod http_route;
mod monitor;
mod scaled_object;

pub use discovery::{INTERVAL, discover, keep_up, refresh};
pub use http_route::{
    BackendRef, HttpRoute, HttpRouteMatch, HttpRoutePath, HttpRouteRule, HttpRouteSpec, HttpRouteStatus, ParentStatus,
};
pub use monitor::{Endpoint, PodMonitor, PodMonitorSpec, ServiceMonitor, ServiceMonitorSpec};
pub use scaled_object::{Advanced, HpaConfig, ScaleTarget, ScaledObject, ScaledObjectSpec};

use std::collections::BTreeSet;
use std::fmt;

use kube::core::ApiResource;

use crate::cluster::Kind;

/// A kind that a cluster need not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptionalKind {
    /// Gateway API's route.
    HttpRoute,
    /// The Prometheus operator's, through a Service.
    ServiceMonitor,
    /// The Prometheus operator's, without a Service.
    PodMonitor,
    /// KEDA's.
    ScaledObject,
}

impl OptionalKind {
    /// All of them.
    pub const ALL: [OptionalKind; 4] =
        [OptionalKind::HttpRoute, OptionalKind::ServiceMonitor, OptionalKind::PodMonitor, OptionalKind::ScaledObject];

    /// Its name and version.
    pub fn resource(self) -> ApiResource {
        match self {
            OptionalKind::HttpRoute => ApiResource::erase::<HttpRoute>(&()),
            OptionalKind::ServiceMonitor => ApiResource::erase::<ServiceMonitor>(&()),
            OptionalKind::PodMonitor => ApiResource::erase::<PodMonitor>(&()),
            OptionalKind::ScaledObject => ApiResource::erase::<ScaledObject>(&()),
        }
    }

    /// The field of a spec that asks for one.
    pub fn field(self) -> &'static str {
        match self {
            OptionalKind::HttpRoute => "expose.httpRoute",
            OptionalKind::ServiceMonitor => "monitoring.serviceMonitor",
            OptionalKind::PodMonitor => "monitoring.podMonitor",
            OptionalKind::ScaledObject => "autoscaling.keda",
        }
    }
}

impl fmt::Display for OptionalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiResource { kind, api_version, .. } = self.resource();
        write!(f, "{kind} ({api_version})")
    }
}

/// The type of an optional kind's objects.
pub trait Optional: Kind + Send + Sync + 'static {
    /// Which kind.
    const KIND: OptionalKind;
}

impl Optional for HttpRoute {
    const KIND: OptionalKind = OptionalKind::HttpRoute;
}

impl Optional for ServiceMonitor {
    const KIND: OptionalKind = OptionalKind::ServiceMonitor;
}

impl Optional for PodMonitor {
    const KIND: OptionalKind = OptionalKind::PodMonitor;
}

impl Optional for ScaledObject {
    const KIND: OptionalKind = OptionalKind::ScaledObject;
}

/// Which optional kinds a cluster knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served(BTreeSet<OptionalKind>);

impl Served {
    /// Whether it knows this one.
    pub fn has(&self, kind: OptionalKind) -> bool {
        self.0.contains(&kind)
    }
}

impl FromIterator<OptionalKind> for Served {
    fn from_iter<I: IntoIterator<Item = OptionalKind>>(kinds: I) -> Served {
        Served(kinds.into_iter().collect())
    }
}
