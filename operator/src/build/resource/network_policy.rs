//! The NetworkPolicy, which restricts connections to the hub's pods. Egress is not restricted. No I/O.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::build::{metadata, ports};
use crate::model::{ValidatedHub, labels, networking};

/// Returns the NetworkPolicy, which lets only the senders of `policy` connect to the internal port.
pub(in crate::build) fn build(hub: &ValidatedHub, policy: &networking::SenderPolicy) -> NetworkPolicy {
    // Metrics are allowed from anywhere, because a blocked scrape is noticed too late.
    let mut rules = vec![rule(&[ports::PUBLIC, ports::ADMIN], None)];
    if hub.source.is_direct() {
        rules.push(rule(&[ports::INTERNAL], Some(policy.senders.clone())));
    }
    NetworkPolicy {
        metadata: metadata::for_child(hub, hub.name.as_str()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(labels::selector(&hub.name)),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// Returns a rule that lets peers connect to ports. `None` means all peers.
fn rule(ports: &[i32], from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    let port = |number: &i32| NetworkPolicyPort {
        port: Some(IntOrString::Int(*number)),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    };
    NetworkPolicyIngressRule { from, ports: Some(ports.iter().map(port).collect()) }
}
