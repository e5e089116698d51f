//! Whether an Ingress leads to the hub, from the addresses that its controller has written. No I/O.

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use notification_hub_crds::condition::Reason;

use crate::conditions::ConditionState;

/// How an Ingress was given a class before there was a field.
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Returns the state of `Exposed` for an Ingress.
pub(super) fn ingress_state(ingress: Option<&Ingress>) -> ConditionState {
    let Some(ingress) = ingress else {
        return ConditionState::new(false, Reason::NotMade, "the Ingress is not there yet");
    };
    let name = ingress.name_any();
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let entries = status.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default();
    let addresses: Vec<&str> =
        entries.iter().filter_map(|entry| entry.ip.as_ref().or(entry.hostname.as_ref())).map(String::as_str).collect();
    if !addresses.is_empty() {
        return ConditionState::new(true, Reason::Exposed, format!("Ingress {name} is at {}", addresses.join(", ")));
    }
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_ref());
    match class.or_else(|| ingress.annotations().get(CLASS_ANNOTATION)) {
        Some(class) => {
            let message = format!("Ingress {name} has no address: no controller of the class {class} has given it one");
            ConditionState::new(false, Reason::NoAddress, message)
        }
        None => {
            let message =
                format!("Ingress {name} has no class, and the cluster no default one: give expose.ingress.className");
            ConditionState::new(false, Reason::NoIngressClass, message)
        }
    }
}
