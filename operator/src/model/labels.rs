//! Labels of children. The labels of the selector must never change, because the selector of a Deployment is immutable.
//! No I/O.

use std::collections::BTreeMap;

use super::names::HubName;
use super::source::{Credential, Source};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

const NAME_LABEL: &str = "app.kubernetes.io/name";
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

const OPERATOR_NAME: &str = "notification-hub-operator";

/// Label selector of the children of all hubs.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=notification-hub-operator";

/// Returns the labels by which the Deployment and the Services select the pods. Must not include a version.
pub fn selector(hub: &HubName) -> Labels {
    [(NAME_LABEL, "notification-hub"), (INSTANCE_LABEL, hub.as_str())].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

/// Returns the labels of every child.
pub fn recommended(hub: &HubName) -> Labels {
    let mut labels = selector(hub);
    labels.insert(MANAGED_BY_LABEL.to_owned(), OPERATOR_NAME.to_owned());
    labels
}

/// Returns the labels of a hub's pods.
pub fn pod_labels(hub: &HubName, source: &Source) -> Labels {
    let mut labels = recommended(hub);
    labels.extend(required(hub, source));
    labels
}

/// Returns the labels that a pod template must not change, because selectors and the webhook of Azure Workload Identity
/// need them.
pub fn required(hub: &HubName, source: &Source) -> Labels {
    let mut labels = selector(hub);
    if let Some(Credential::WorkloadIdentity { .. }) = source.credential() {
        // The webhook of Azure Workload Identity gives a token to pods with this label.
        labels.insert("azure.workload.identity/use".to_owned(), "true".to_owned());
    }
    labels
}

/// Returns the label selector of a hub's children.
pub fn child_selector_text(hub: &str) -> String {
    format!("{},{MANAGED_SELECTOR}", selector_text(hub))
}

/// Returns the selector of a hub's pods as text, for `status.selector`.
pub fn selector_text(hub: &str) -> String {
    format!("{NAME_LABEL}=notification-hub,{INSTANCE_LABEL}={hub}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn managed_selector_matches_the_recommended_labels() {
        let labels = recommended(&HubName::parse("vault").expect("a name"));
        let (label, value) = MANAGED_SELECTOR.split_once('=').expect("a label and a value");
        assert_eq!(labels.get(label).map(String::as_str), Some(value));
    }

    #[test]
    fn selector_labels_never_change() {
        let name = HubName::parse("vault").expect("a name");
        let text: Vec<_> = selector(&name).iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(text, ["app.kubernetes.io/instance=vault", "app.kubernetes.io/name=notification-hub"]);
        assert_eq!(selector_text("vault"), "app.kubernetes.io/name=notification-hub,app.kubernetes.io/instance=vault");
    }
}
