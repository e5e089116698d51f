//! Hubs in a namespace that decides about the users of its pods, as OpenShift's does, in a real Kubernetes cluster.

use anyhow::{Context, ensure};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT};
use notification_hub_tests::wait::until;
use serde_json::json;

/// A user from the range that OpenShift assigns to a namespace.
const ASSIGNED_USER: u64 = 1_000_670_000;

#[test]
fn pods_name_no_user_and_run_as_an_assigned_one() {
    namespace::with_namespace("user", |namespace| {
        let name = &namespace.name;
        namespace.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]},
                ]},
                "validations": [{
                    "expression": "!has(object.spec.securityContext.runAsUser) && object.spec.containers.all(container, \
                        !has(container.securityContext) || !has(container.securityContext.runAsUser))",
                    "message": "a pod of this namespace names no user",
                }],
            },
        }))?;
        namespace.apply(&json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name, "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}},
            },
        }))?;
        let fixed = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "fixed"},
            "spec": {"securityContext": {"runAsUser": 7}, "containers": [{"name": "a", "image": "example.com/a"}]},
        });
        until("the policy is in force", CLUSTER_TIMEOUT, || {
            let arguments = ["-n", name, "create", "--dry-run=server", "-f", "-"];
            let refused = namespace.cluster.kubectl_with(&arguments, &fixed.to_string()).err().context("accepted")?;
            ensure!(format!("{refused:#}").contains("names no user"), "{refused:#}");
            Ok(())
        })?;

        let hub = |name: &str| {
            json!({
                "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": name},
                "spec": {"replicas": 1, "source": {"direct": {}}, "auth": {"generate": {}}},
            })
        };
        namespace.apply(&hub("unnamed"))?;
        namespace.wait_ready("unnamed")?;

        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            namespace.kubectl(&["delete", kind, name])?;
        }
        let mut assigned = hub("assigned");
        assigned["spec"]["podTemplate"] =
            json!({"spec": {"securityContext": {"runAsUser": ASSIGNED_USER, "runAsGroup": 0}}});
        until("a hub with a user is accepted", CLUSTER_TIMEOUT, || namespace.apply(&assigned))?;
        namespace.wait_ready("assigned")?;
        let pods = namespace.children("pods", "assigned")?;
        let user = &pods.first().context("no pod")?["spec"]["securityContext"]["runAsUser"];
        ensure!(*user == ASSIGNED_USER, "the pod has the user {user}");
        Ok(())
    });
}
