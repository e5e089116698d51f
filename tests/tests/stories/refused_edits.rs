//! Edits that the API server rejects, by validation or by a policy, leave the running hub unchanged.

use anyhow::{Result, ensure};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};

const KINDS: &str = "deployments,services,configmaps,secrets,serviceaccounts";

/// Returns every child of the hub as it is stored.
fn stored(namespace: &Namespace) -> Result<Vec<(String, Value)>> {
    let children = namespace.children(KINDS, "vault")?;
    let spec_of = |child: &Value| [&child["spec"], &child["data"], &child["metadata"]["annotations"]].map(Value::clone);
    Ok(children.iter().map(|child| (child["metadata"]["name"].to_string(), json!(spec_of(child)))).collect())
}

fn hub(pod_template: &Value, service: &str) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": { "name": "vault" },
        "spec": {
            "replicas": 1, "source": { "direct": {} }, "auth": { "generate": { "algorithm": "ES256" } },
            "service": { "type": service }, "podTemplate": pod_template,
        },
    })
}

/// Returns a policy and its binding that deny Deployments of the namespace with an image from `denied.example.com`.
fn policy(namespace: &Namespace) -> [Value; 2] {
    let name = format!("deny-{}", namespace.name);
    let rules = json!([{
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"],
    }]);
    let expression = "object.spec.template.spec.containers.all(c, !c.image.startsWith('denied.example.com/'))";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail", "matchConstraints": { "resourceRules": rules },
            "validations": [{ "expression": expression, "message": "this registry is denied" }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } } },
        },
    });
    [policy, binding]
}

/// Edits the hub, waits until the status has the rejection with these words, and fails if a child changed.
fn check_rejected(namespace: &Namespace, edit: &Value, words: &str) -> Result<()> {
    let before = stored(namespace)?;
    let pod = namespace.pod("vault")?["metadata"]["uid"].clone();
    namespace.apply(edit)?;
    let message = namespace.wait_condition("vault", "SpecValid", "False", "ChildRejected")?;
    ensure!(message.contains(words), "{message}");
    let after = stored(namespace)?;
    ensure!(after == before, "{after:#?} instead of {before:#?}");
    ensure!(namespace.pod("vault")?["metadata"]["uid"] == pod, "another pod");
    Ok(())
}

#[test]
fn rejected_spec_edit_leaves_the_running_hub_unchanged() {
    namespace::with_namespace("refused-edits", |namespace| {
        namespace.apply(&hub(&json!({}), "ClusterIP"))?;
        namespace.wait_ready("vault")?;
        let container = |more: Value| {
            let mut container = more;
            container["name"] = json!("hub");
            json!({ "spec": { "containers": [container] } })
        };
        // More than the container's memory limit of 512Mi.
        let too_much = container(json!({ "resources": { "requests": { "memory": "1Gi" } } }));
        check_rejected(namespace, &hub(&too_much, "NodePort"), "must be less than or equal to memory limit")?;
        namespace.apply(&hub(&json!({}), "ClusterIP"))?;
        namespace.wait_condition("vault", "SpecValid", "True", "Valid")?;

        let policies = policy(namespace);
        for object in &policies {
            namespace.apply(object)?;
        }
        let denied = container(json!({ "image": "denied.example.com/hub:1" }));
        let result = until("the policy is in force", CLUSTER_TIMEOUT, || {
            // A dry run succeeds until the policy is in force.
            let deployment = namespace.get("deployment", "vault")?["metadata"]["name"].clone();
            let image = json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "denied.example.com/x" }]);
            let name = deployment.as_str().unwrap_or_default();
            let patch = ["patch", "deployment", name, "--dry-run=server", "--type=json", "-p", &image.to_string()];
            ensure!(namespace.kubectl(&patch).is_err(), "not yet");
            Ok(())
        });
        let result =
            result.and_then(|()| check_rejected(namespace, &hub(&denied, "NodePort"), "this registry is denied"));
        for object in &policies {
            let kind = object["kind"].as_str().unwrap_or_default();
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            namespace.cluster.kubectl(&["delete", kind, name])?;
        }
        result
    });
}

#[test]
fn conflicting_list_entries_are_replaced_without_a_second_owner() {
    namespace::with_namespace("foreign-entries", |namespace| {
        let variable =
            json!({ "spec": { "containers": [{ "name": "hub", "env": [{ "name": "PROXY", "value": "a" }] }] } });
        namespace.apply(&hub(&variable, "ClusterIP"))?;
        namespace.wait_ready("vault")?;
        let spec = || -> Result<Value> {
            let deployment = namespace.get("deployment", "vault")?;
            Ok(deployment["spec"]["template"]["spec"]["containers"][0].clone())
        };
        let before = spec()?;
        let container = "/spec/template/spec/containers/0";
        let reference = json!({ "secretKeyRef": { "name": "vault-jwt", "key": "jwks.json" } });
        let edits = [
            json!([{ "op": "replace", "path": format!("{container}/ports/0/containerPort"), "value": 5555 }]),
            json!([
                { "op": "remove", "path": format!("{container}/env/0/value") },
                { "op": "add", "path": format!("{container}/env/0/valueFrom"), "value": reference },
            ]),
        ];
        for edit in edits {
            namespace.kubectl(&["patch", "deployment", "vault", "--type=json", "-p", &edit.to_string()])?;
            until("it is repaired", CLUSTER_TIMEOUT, || {
                let now = spec()?;
                ensure!(now == before, "{now:#}");
                let deployment =
                    namespace.kubectl(&["get", "deployment", "vault", "--show-managed-fields", "-o", "json"])?;
                let deployment: Value = serde_json::from_str(&deployment)?;
                let entries = deployment["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
                let twice = entries
                    .iter()
                    .any(|entry| entry["manager"] == "notificationhub.rs/operator" && entry["operation"] == "Update");
                ensure!(!twice, "fields are owned twice: {entries:#?}");
                Ok(())
            })?;
        }
        namespace.apply(&hub(&json!({}), "ClusterIP"))?;
        until("the variable is removed", CLUSTER_TIMEOUT, || {
            let now = spec()?;
            ensure!(now["env"].is_null(), "{now:#}");
            Ok(())
        })
    });
}
