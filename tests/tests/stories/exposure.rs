//! The Service, Ingress and NetworkPolicy of a hub in a real Kubernetes cluster. There is no Ingress controller, so the test
//! writes its status. No network plugin enforces the policy.

use anyhow::{Context, ensure};
use notification_hub_tests::deployed::{check_delivery, generated_signer};
use notification_hub_tests::http;
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};

const HUB: &str = "vault";

/// Returns a hub with further fields.
fn hub(more: &[(&str, Value)]) -> Value {
    let mut hub = json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
        "spec": {"replicas": 1, "source": {"direct": {}}, "auth": {"generate": {}}},
    });
    for (name, value) in more {
        hub["spec"][*name] = value.clone();
    }
    hub
}

#[test]
fn service_ingress_and_network_policy_follow_the_spec() {
    namespace::with_namespace("around", |namespace| {
        let service = json!({
            "type": "NodePort", "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4"],
            "labels": {"team": "identity"}, "annotations": {"example.com/a": "b"},
        });
        let senders = json!({"direct": {"allowFrom": [{"podSelector": {"matchLabels": {"app": "api"}}}]}});
        namespace.apply(&hub(&[
            ("service", service),
            ("source", senders),
            ("networkPolicy", json!({"enabled": true})),
            (
                "expose",
                json!({"ingress": {
                    "className": "nobody", "host": "vault.example.com", "tlsSecretName": "vault-tls",
                    "labels": {"team": "network"}, "annotations": {"example.com/silence": "60s"},
                }}),
            ),
        ]))?;
        namespace.wait_ready(HUB)?;
        let message = namespace.wait_condition(HUB, "Exposed", "False", "NoAddress")?;
        ensure!(message.contains("class nobody"), "{message}");
        let service = namespace.get("service", HUB)?;
        ensure!(service["spec"]["type"] == "NodePort", "{}", service["spec"]);
        ensure!(service["spec"]["ipFamilyPolicy"] == "PreferDualStack", "{}", service["spec"]);
        ensure!(service["spec"]["ipFamilies"] == json!(["IPv4"]), "{}", service["spec"]);
        ensure!(service["metadata"]["labels"]["team"] == "identity", "{}", service["metadata"]);
        ensure!(service["metadata"]["annotations"]["example.com/a"] == "b", "{}", service["metadata"]);
        if !namespace.cluster.is_current_context() {
            let port = service["spec"]["ports"][0]["nodePort"].as_u64().context("no port of the node")?;
            let address = (namespace.cluster.node()?, port.try_into()?).into();
            until("the node's port leads to the hub", CLUSTER_TIMEOUT, || {
                let response = namespace.cluster.run_inside(|| http::get(address, "/alive"))?;
                ensure!(response.status == 200, "{response:?}");
                Ok(())
            })?;
        }
        let ingress = namespace.get("ingress", HUB)?;
        ensure!(ingress["spec"]["rules"][0]["host"] == "vault.example.com", "{}", ingress["spec"]);
        ensure!(ingress["spec"]["tls"][0]["secretName"] == "vault-tls", "{}", ingress["spec"]);
        ensure!(ingress["metadata"]["labels"]["team"] == "network", "{}", ingress["metadata"]);
        ensure!(ingress["metadata"]["annotations"]["example.com/silence"] == "60s", "{}", ingress["metadata"]);
        let rules = namespace.get("networkpolicy", HUB)?["spec"]["ingress"].clone();
        ensure!(rules[1]["from"][0]["podSelector"]["matchLabels"]["app"] == "api", "{rules}");

        let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "198.18.0.250"}]}}}).to_string();
        namespace.kubectl(&["patch", "ingress", HUB, "--subresource=status", "--type=merge", "-p", &address])?;
        let message = namespace.wait_condition(HUB, "Exposed", "True", "Exposed")?;
        ensure!(message.contains("198.18.0.250"), "{message}");
        check_delivery(namespace, HUB, &generated_signer(namespace, HUB)?)?;

        // An empty `ingress` is valid too.
        let policy = ("networkPolicy", json!({"enabled": true}));
        namespace.apply(&hub(&[policy, ("expose", json!({"ingress": {}}))]))?;
        until("the class is left to the cluster", CLUSTER_TIMEOUT, || {
            let spec = namespace.get("ingress", HUB)?["spec"].clone();
            ensure!(spec["ingressClassName"].is_null(), "{spec}");
            Ok(())
        })?;

        namespace.kubectl(&["delete", "ingress,networkpolicy", HUB])?;
        until("both are back", CLUSTER_TIMEOUT, || {
            namespace.get("ingress", HUB)?;
            namespace.get("networkpolicy", HUB)
        })?;

        namespace.apply(&hub(&[]))?;
        namespace.wait_condition(HUB, "Exposed", "False", "NotRequested")?;
        until("both are gone", CLUSTER_TIMEOUT, || {
            for kind in ["ingress", "networkpolicy"] {
                ensure!(namespace.get(kind, HUB).is_err(), "the {kind} exists");
            }
            let service = namespace.get("service", HUB)?;
            ensure!(service["spec"]["type"] == "ClusterIP" && service["metadata"]["labels"]["team"].is_null());
            Ok(())
        })?;
        check_delivery(namespace, HUB, &generated_signer(namespace, HUB)?)
    });
}
