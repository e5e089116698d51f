//! The condition `Exposed`, from the status that other controllers write into the Ingress and the HTTPRoute. No I/O.

mod http_route;
mod ingress;

use k8s_openapi::api::networking::v1::Ingress;
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::Expose;

use super::ConditionState;
use super::diagnostics::not_served;
use crate::third_party::{HttpRoute, ThirdPartyKind};

/// Live objects that expose the hub outside the cluster.
#[derive(Clone, Debug, Default)]
pub struct Exposure {
    /// The Ingress, or `None` if it does not exist.
    pub ingress: Option<Ingress>,
    /// The HTTPRoute, or `None` if it does not exist.
    pub http_route: Option<HttpRoute>,
}

/// Returns the state of `Exposed`. If one of two objects does not expose the hub, its state is returned.
pub(super) fn exposed_state(
    expose: Option<&Expose>,
    unserved: &[ThirdPartyKind],
    exposure: &Exposure,
) -> ConditionState {
    let ingress_state =
        expose.and_then(|expose| expose.ingress.as_ref()).map(|_| ingress::ingress_state(exposure.ingress.as_ref()));
    let route_state = expose.and_then(|expose| expose.http_route.as_ref()).map(|_| {
        if unserved.contains(&ThirdPartyKind::HttpRoute) {
            ConditionState::new(false, Reason::KindNotServed, not_served(ThirdPartyKind::HttpRoute))
        } else {
            http_route::route_state(exposure.http_route.as_ref())
        }
    });
    match (ingress_state, route_state) {
        (None, None) => ConditionState::new(false, Reason::NotRequested, "expose has neither ingress nor httpRoute"),
        (Some(only), None) | (None, Some(only)) => only,
        (Some(first), Some(second)) => {
            let (decisive, other) = if first.is_true && !second.is_true { (second, first) } else { (first, second) };
            ConditionState { message: format!("{}; {}", decisive.message, other.message), ..decisive }
        }
    }
}
