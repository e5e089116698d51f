//! Exposure by an HTTPRoute, from the status that the controllers of its parents write. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use notification_hub_crds::condition::Reason;
use notification_hub_crds::v1alpha1::ParentReference;

use crate::conditions::ConditionState;
use crate::third_party::{HttpRoute, ParentStatus};

/// Conditions that must be `True` for each parent of a route.
const REQUIRED_CONDITIONS: [&str; 2] = ["Accepted", "ResolvedRefs"];

/// Answer of a parent of a route.
enum Acceptance {
    Accepted,
    Pending,
    /// The parent refuses the route: the reason with the controller's message, and what to do.
    Refused(String, &'static str),
}

/// Returns the state of `Exposed` for a route. The refusal of a parent takes precedence over a pending answer.
pub(super) fn route_state(route: Option<&HttpRoute>) -> ConditionState {
    let Some(route) = route else {
        return ConditionState::new(false, Reason::NotCreated, "the HTTPRoute does not exist yet");
    };
    let name = route.name_any();
    let acceptances: Vec<_> =
        route.spec.parent_refs.iter().map(|parent| (display_name(parent), acceptance(route, parent))).collect();
    let refused = acceptances.iter().find_map(|(parent, acceptance)| match acceptance {
        Acceptance::Refused(why, action) => {
            Some(format!("HTTPRoute {name} is not accepted by {parent}: {why}; {action}"))
        }
        Acceptance::Accepted | Acceptance::Pending => None,
    });
    if let Some(message) = refused {
        return ConditionState::new(false, Reason::RouteNotAccepted, message);
    }
    let (accepted, pending): (Vec<_>, Vec<_>) =
        acceptances.iter().partition(|(_, acceptance)| matches!(acceptance, Acceptance::Accepted));
    let names = |parents: Vec<&(String, Acceptance)>| {
        parents.into_iter().map(|(parent, _)| parent.as_str()).collect::<Vec<_>>().join(", ")
    };
    if !pending.is_empty() {
        let message = format!(
            "HTTPRoute {name} is not accepted yet by {}; check that the parent exists and that its controller runs",
            names(pending)
        );
        return ConditionState::new(false, Reason::RoutePending, message);
    }
    ConditionState::new(true, Reason::Exposed, format!("HTTPRoute {name} is accepted by {}", names(accepted)))
}

/// Returns whether a parent accepts the route. Conditions about an older generation do not count.
fn acceptance(route: &HttpRoute, parent: &ParentReference) -> Acceptance {
    let namespace = route.namespace().unwrap_or_default();
    let generation = route.meta().generation.unwrap_or_default();
    let parents = route.status.as_ref().map(|status| status.parents.as_slice()).unwrap_or_default();
    let is_of_parent =
        |each: &&ParentStatus| with_defaults(&each.parent_ref, &namespace) == with_defaults(parent, &namespace);
    let is_current = |each: &&Condition| each.observed_generation.is_none_or(|seen| seen >= generation);
    let mut accepted = false;
    for status in parents.iter().filter(is_of_parent) {
        let current = |kind: &str| status.conditions.iter().filter(is_current).find(|each| each.type_ == kind);
        let conditions = REQUIRED_CONDITIONS.map(current);
        if let Some(refused) = conditions.iter().flatten().find(|condition| condition.status == "False") {
            // Traefik, for one, leaves the message empty.
            let why = [refused.reason.as_str(), refused.message.as_str()].into_iter().filter(|text| !text.is_empty());
            return Acceptance::Refused(why.collect::<Vec<_>>().join(": "), action(&refused.reason));
        }
        accepted |= conditions.iter().all(|each| each.is_some_and(|condition| condition.status == "True"));
    }
    if accepted { Acceptance::Accepted } else { Acceptance::Pending }
}

/// Returns what to do about a refusal, by its reason in the Gateway API.
fn action(reason: &str) -> &'static str {
    match reason {
        "NotAllowedByListeners" => "allow routes from the hub's namespace in allowedRoutes of the parent's listeners",
        "NoMatchingListenerHostname" => "set expose.httpRoute.hostnames to names that a listener of the parent serves",
        "NoMatchingParent" => "set sectionName and port in expose.httpRoute.parentRefs to those of a listener",
        _ => "change expose.httpRoute or the parent",
    }
}

/// Returns a reference with its defaults filled in, as controllers write it.
fn with_defaults(parent: &ParentReference, namespace: &str) -> ParentReference {
    let value_or = |given: &Option<String>, default: &str| Some(given.clone().unwrap_or_else(|| default.to_owned()));
    ParentReference {
        group: value_or(&parent.group, "gateway.networking.k8s.io"),
        kind: value_or(&parent.kind, "Gateway"),
        namespace: value_or(&parent.namespace, namespace),
        ..parent.clone()
    }
}

/// Returns the kind, namespace, name and listener of a parent for messages.
fn display_name(parent: &ParentReference) -> String {
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let namespace = parent.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let section = parent.section_name.as_ref().map(|section| format!(", listener {section}")).unwrap_or_default();
    format!("{kind} {namespace}{}{section}", parent.name)
}
