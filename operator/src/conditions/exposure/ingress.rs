//! Exposure by an Ingress, from the addresses that its controller writes. No I/O.

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use notification_hub_crds::condition::Reason;

use crate::conditions::ConditionState;

/// Annotation of the class, from before `spec.ingressClassName` existed.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Returns the state of `Exposed` for an Ingress.
pub(super) fn ingress_state(ingress: Option<&Ingress>) -> ConditionState {
    let Some(ingress) = ingress else {
        return ConditionState::new(false, Reason::NotCreated, "the Ingress does not exist yet");
    };
    let name = ingress.name_any();
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = status.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let addresses: Vec<&str> =
        entries.iter().filter_map(|entry| entry.ip.as_ref().or(entry.hostname.as_ref())).map(String::as_str).collect();
    if !addresses.is_empty() {
        return ConditionState::new(
            true,
            Reason::Exposed,
            format!("Ingress {name} is reachable at {}", addresses.join(", ")),
        );
    }
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
    match class.or_else(|| ingress.annotations().get(CLASS_ANNOTATION)) {
        Some(class) => {
            let message = format!(
                "Ingress {name}: no address. Either no controller of the class {class} runs, or it publishes none, and then \
                 clients may reach the hub nevertheless"
            );
            ConditionState::new(false, Reason::NoAddress, message)
        }
        None => {
            let message =
                format!("Ingress {name}: no class, and the cluster has no default; set expose.ingress.className");
            ConditionState::new(false, Reason::NoIngressClass, message)
        }
    }
}
