//! What is around a hub's pods, as its spec asks for it. Pure.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use notification_hub_crds::v1alpha1::{ExposeHttpRoute, Monitor, NotificationHubSpec};

use crate::model::surroundings::{NetworkPolicy, Surroundings};
use crate::optional::{OptionalKind, Served};

/// What the spec asks for, but for what the cluster does not know.
pub(super) fn of(spec: &NotificationHubSpec, served: &Served) -> Surroundings {
    Surroundings {
        service: spec.service.clone().unwrap_or_default(),
        ingress: spec.expose.as_ref().and_then(|expose| expose.ingress.clone()),
        http_route: http_route(spec).filter(|_| served.has(OptionalKind::HttpRoute)).cloned(),
        service_monitor: service_monitor(spec).filter(|_| served.has(OptionalKind::ServiceMonitor)).cloned(),
        pod_monitor: pod_monitor(spec).filter(|_| served.has(OptionalKind::PodMonitor)).cloned(),
        network_policy: network_policy(spec),
    }
}

/// The optional kinds that the spec asks for and the cluster does not know.
pub(super) fn unserved(spec: &NotificationHubSpec, served: &Served) -> Vec<OptionalKind> {
    let is_asked_for = |kind: &OptionalKind| match kind {
        OptionalKind::HttpRoute => http_route(spec).is_some(),
        OptionalKind::ServiceMonitor => service_monitor(spec).is_some(),
        OptionalKind::PodMonitor => pod_monitor(spec).is_some(),
        OptionalKind::ScaledObject => spec.autoscaling.as_ref().is_some_and(|autoscaling| autoscaling.keda.is_some()),
    };
    OptionalKind::ALL.into_iter().filter(is_asked_for).filter(|kind| !served.has(*kind)).collect()
}

fn http_route(spec: &NotificationHubSpec) -> Option<&ExposeHttpRoute> {
    spec.expose.as_ref()?.http_route.as_ref()
}

fn service_monitor(spec: &NotificationHubSpec) -> Option<&Monitor> {
    spec.monitoring.as_ref()?.service_monitor.as_ref().filter(|monitor| monitor.enabled)
}

fn pod_monitor(spec: &NotificationHubSpec) -> Option<&Monitor> {
    spec.monitoring.as_ref()?.pod_monitor.as_ref().filter(|monitor| monitor.enabled)
}

fn network_policy(spec: &NotificationHubSpec) -> Option<NetworkPolicy> {
    spec.network_policy.as_ref().filter(|policy| policy.enabled)?;
    let named = spec.source.direct.as_ref().map(|direct| direct.allow_from.clone()).unwrap_or_default();
    let of_the_namespace = NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..Default::default() };
    Some(NetworkPolicy { senders: if named.is_empty() { vec![of_the_namespace] } else { named } })
}
