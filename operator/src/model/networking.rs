//! What is around a hub's pods: its public Service, ways from outside, who may reach them, and who collects their metrics.
//! Pure.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use notification_hub_crds::v1alpha1::{ExposeHttpRoute, ExposeIngress, Monitor, PublicService};

/// What is around a hub's pods.
#[derive(Clone, Debug, Default)]
pub struct Networking {
    /// What the public Service is like.
    pub service: PublicService,
    /// A way from outside by an Ingress.
    pub ingress: Option<ExposeIngress>,
    /// A way from outside by an HTTPRoute.
    pub http_route: Option<ExposeHttpRoute>,
    /// A ServiceMonitor.
    pub service_monitor: Option<Monitor>,
    /// A PodMonitor.
    pub pod_monitor: Option<Monitor>,
    /// Who may reach the pods; anybody if it is not there.
    pub network_policy: Option<SenderPolicy>,
}

/// Who may reach the pods.
#[derive(Clone, Debug, PartialEq)]
pub struct SenderPolicy {
    /// Who may post; never empty.
    pub senders: Vec<NetworkPolicyPeer>,
}
