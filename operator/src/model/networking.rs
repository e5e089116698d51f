//! Networking of a hub: its public Service, its exposure outside the cluster, its NetworkPolicy, and the monitors of
//! its metrics. No I/O.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use notification_hub_crds::v1alpha1::{ExposeHttpRoute, ExposeIngress, Monitor, PublicService};

/// Networking of a hub.
#[derive(Clone, Debug, Default)]
pub struct Networking {
    /// Settings of the public Service.
    pub service: PublicService,
    /// The Ingress, or `None` if the spec does not ask for it.
    pub ingress: Option<ExposeIngress>,
    /// The HTTPRoute, or `None` if the spec does not ask for it or the API server does not serve the kind.
    pub http_route: Option<ExposeHttpRoute>,
    /// The ServiceMonitor, or `None` as for the HTTPRoute.
    pub service_monitor: Option<Monitor>,
    /// The PodMonitor, or `None` as for the HTTPRoute.
    pub pod_monitor: Option<Monitor>,
    /// Restriction of the senders, or `None` if there is no NetworkPolicy.
    pub network_policy: Option<SenderPolicy>,
}

/// Senders that may post to the hub.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderPolicy {
    /// Peers that may post. Never empty.
    pub senders: Vec<NetworkPolicyPeer>,
}
