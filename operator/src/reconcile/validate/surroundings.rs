//! What is around a hub's pods, as its spec asks for it. Pure.

use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use notification_hub_crds::v1alpha1::NotificationHubSpec;

use crate::model::surroundings::{NetworkPolicy, Surroundings};

/// What the spec asks for.
pub(super) fn of(spec: &NotificationHubSpec) -> Surroundings {
    Surroundings {
        service: spec.service.clone().unwrap_or_default(),
        ingress: spec.expose.as_ref().and_then(|expose| expose.ingress.clone()),
        network_policy: network_policy(spec),
    }
}

fn network_policy(spec: &NotificationHubSpec) -> Option<NetworkPolicy> {
    spec.network_policy.as_ref().filter(|policy| policy.enabled)?;
    let named = spec.source.direct.as_ref().map(|direct| direct.allow_from.clone()).unwrap_or_default();
    let of_the_namespace = NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..Default::default() };
    Some(NetworkPolicy { senders: if named.is_empty() { vec![of_the_namespace] } else { named } })
}
