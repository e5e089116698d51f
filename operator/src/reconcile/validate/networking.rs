//! Reads the networking of a hub from its spec. No I/O.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use notification_hub_crds::v1alpha1::{ExposeHttpRoute, Monitor, NotificationHubSpec};

use crate::model::networking::{Networking, SenderPolicy};
use crate::third_party::{ServedKinds, ThirdPartyKind};

/// Returns the networking that the spec asks for, without the kinds that the API server does not serve.
pub(super) fn from_spec(spec: &NotificationHubSpec, served: &ServedKinds) -> Networking {
    Networking {
        service: spec.service.clone().unwrap_or_default(),
        ingress: spec.expose.as_ref().and_then(|expose| expose.ingress.clone()),
        http_route: http_route(spec).filter(|_| served.contains(ThirdPartyKind::HttpRoute)).cloned(),
        service_monitor: service_monitor(spec).filter(|_| served.contains(ThirdPartyKind::ServiceMonitor)).cloned(),
        pod_monitor: pod_monitor(spec).filter(|_| served.contains(ThirdPartyKind::PodMonitor)).cloned(),
        network_policy: network_policy(spec),
    }
}

/// Returns the third-party kinds that the spec asks for and the API server does not serve.
pub(super) fn unserved(spec: &NotificationHubSpec, served: &ServedKinds) -> Vec<ThirdPartyKind> {
    let is_asked_for = |kind: &ThirdPartyKind| match kind {
        ThirdPartyKind::HttpRoute => http_route(spec).is_some(),
        ThirdPartyKind::ServiceMonitor => service_monitor(spec).is_some(),
        ThirdPartyKind::PodMonitor => pod_monitor(spec).is_some(),
        ThirdPartyKind::ScaledObject => spec.autoscaling.as_ref().is_some_and(|autoscaling| autoscaling.keda.is_some()),
    };
    ThirdPartyKind::ALL.into_iter().filter(is_asked_for).filter(|kind| !served.contains(*kind)).collect()
}

/// Returns `expose.httpRoute`.
fn http_route(spec: &NotificationHubSpec) -> Option<&ExposeHttpRoute> {
    spec.expose.as_ref()?.http_route.as_ref()
}

/// Returns `monitoring.serviceMonitor` if it is enabled.
fn service_monitor(spec: &NotificationHubSpec) -> Option<&Monitor> {
    spec.monitoring.as_ref()?.service_monitor.as_ref().filter(|monitor| monitor.enabled)
}

/// Returns `monitoring.podMonitor` if it is enabled.
fn pod_monitor(spec: &NotificationHubSpec) -> Option<&Monitor> {
    spec.monitoring.as_ref()?.pod_monitor.as_ref().filter(|monitor| monitor.enabled)
}

/// Returns the restriction of senders. The default is every pod of the namespace.
fn network_policy(spec: &NotificationHubSpec) -> Option<SenderPolicy> {
    spec.network_policy.as_ref().filter(|policy| policy.enabled)?;
    let peers = spec.source.direct.as_ref().map(|direct| direct.allow_from.clone()).unwrap_or_default();
    let own_namespace = NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..Default::default() };
    Some(SenderPolicy { senders: if peers.is_empty() { vec![own_namespace] } else { peers } })
}
