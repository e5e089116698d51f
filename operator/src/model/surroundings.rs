//! What is around a hub's pods: its public Service, ways from outside, and who may reach them. Pure.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use notification_hub_crds::v1alpha1::{ExposeIngress, PublicService};

/// What is around a hub's pods.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// What the public Service is like.
    pub service: PublicService,
    /// A way from outside by an Ingress.
    pub ingress: Option<ExposeIngress>,
    /// Who may reach the pods; anybody if it is not there.
    pub network_policy: Option<NetworkPolicy>,
}

/// Who may reach the pods.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPolicy {
    /// Who may post; never empty.
    pub senders: Vec<NetworkPolicyPeer>,
}
