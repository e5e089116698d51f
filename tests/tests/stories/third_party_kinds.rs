//! Third-party kinds that are installed after the operator, in a real Kubernetes cluster: CRDs of the Gateway API, the Prometheus
//! operator and KEDA. There are no controllers, so the test writes the status of a route.

use anyhow::{Result, ensure};
use notification_hub_tests::deployed::{check_delivery, generated_signer};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::third_party_kinds::ThirdPartyKinds;
use notification_hub_tests::wait::until;
use serde_json::{Value, json};

const HUB: &str = "vault";
const KINDS: [&str; 4] = ["httproute", "servicemonitor", "podmonitor", "scaledobject"];

fn hub(more: Value) -> Value {
    let mut spec = json!({"source": {"direct": {}}, "auth": {"generate": {}}});
    let fields = spec.as_object_mut().into_iter();
    fields.for_each(|fields| fields.extend(more.as_object().cloned().unwrap_or_default()));
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB}, "spec": spec,
    })
}

/// Returns a hub with one object of each kind.
fn with_all() -> Value {
    hub(json!({
        "autoscaling": {"maxReplicas": 1, "keda": {"triggers": [
            {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 8 * * *", "end": "0 18 * * *", "desiredReplicas": "1"}},
        ]}},
        "expose": {"httpRoute": {
            "parentRefs": [{
                "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateways", "name": "public",
                "sectionName": "https", "port": 443,
            }],
            "hostnames": ["vault.example.com"],
            "labels": {"team": "identity"}, "annotations": {"example.com/a": "b"},
        }},
        "monitoring": {
            "serviceMonitor": {"enabled": true, "labels": {"release": "prometheus"}, "interval": "30s"},
            "podMonitor": {"enabled": true, "labels": {"release": "prometheus"}, "interval": "1m"},
        },
    }))
}

#[test]
fn third_party_kinds_installed_later_are_applied_and_repaired() {
    namespace::with_namespace("third-party", |namespace| {
        let kinds = ThirdPartyKinds::reserve(namespace.cluster);
        namespace.apply(&with_all())?;
        if !is_installed(namespace) {
            namespace.wait_ready(HUB)?;
            let message = namespace.wait_condition(HUB, "SpecValid", "False", "KindNotServed")?;
            ensure!(
                message.contains("monitoring.podMonitor") && message.contains("ScaledObject (keda.sh/v1alpha1)"),
                "{message}"
            );
            namespace.wait_condition(HUB, "Exposed", "False", "KindNotServed")?;
            kinds.install()?;
        }
        namespace.wait_condition(HUB, "SpecValid", "True", "Valid")?;
        namespace.wait_condition(HUB, "Exposed", "False", "RoutePending")?;
        check_all_exist(namespace)?;
        let scaled = namespace.get("scaledobject", HUB)?["spec"].clone();
        ensure!(scaled["triggers"][0]["metadata"]["desiredReplicas"] == "1", "{scaled}");
        ensure!(scaled["scaleTargetRef"]["name"] == HUB && scaled["maxReplicaCount"] == 1, "{scaled}");
        for (kind, endpoints, interval) in
            [("servicemonitor", "endpoints", "30s"), ("podmonitor", "podMetricsEndpoints", "1m")]
        {
            let monitor = namespace.get(kind, HUB)?;
            ensure!(monitor["metadata"]["labels"]["release"] == "prometheus", "{monitor}");
            ensure!(monitor["spec"][endpoints][0]["interval"] == interval, "{monitor}");
        }
        let route = namespace.get("httproute", HUB)?;
        let about = (&route["metadata"]["labels"]["team"], &route["metadata"]["annotations"]["example.com/a"]);
        ensure!(about == (&json!("identity"), &json!("b")), "{route}");
        ensure!(route["spec"]["hostnames"] == json!(["vault.example.com"]), "{route}");
        ensure!(route["spec"]["parentRefs"][0]["port"] == 443, "{route}");

        for (accepted, reason) in [("False", "RouteNotAccepted"), ("True", "Exposed")] {
            set_route_status(namespace, accepted)?;
            let message = namespace.wait_condition(HUB, "Exposed", accepted, reason)?;
            ensure!(message.contains("Gateway gateways/public, listener https"), "{message}");
        }
        check_unchanged(namespace)?;
        check_delivery(namespace, HUB, &generated_signer(namespace, HUB)?)?;

        for kind in KINDS {
            namespace.kubectl(&["delete", kind, HUB])?;
        }
        until("all objects are recreated", CLUSTER_TIMEOUT, || check_all_exist(namespace))?;
        let routes = |namespace: &Namespace| Ok::<_, anyhow::Error>(namespace.get("httproute", HUB)?["spec"].clone());
        let bent = json!({"spec": {"rules": [{"backendRefs": [{"name": "elsewhere", "port": 80}]}]}}).to_string();
        namespace.kubectl(&["patch", "httproute", HUB, "--type=merge", "-p", &bent])?;
        until("the route is repaired", CLUSTER_TIMEOUT, || {
            let spec = routes(namespace)?;
            ensure!(spec["rules"][0]["backendRefs"][0]["name"] == HUB, "{spec}");
            Ok(())
        })?;

        // A trigger that KEDA's CRD rejects and ours accepts.
        let misshapen = json!({"triggers": [{"type": "cpu", "metadata": ["value"]}]});
        namespace.apply(&hub(json!({"autoscaling": {"maxReplicas": 1, "keda": misshapen}})))?;
        let message = namespace.wait_condition(HUB, "SpecValid", "False", "ChildRejected")?;
        ensure!(
            message.starts_with("ScaledObject vault: ") && message.contains(".spec.triggers[0].metadata"),
            "{message}"
        );

        namespace.apply(&hub(json!({"replicas": 1})))?;
        until("all objects are deleted", CLUSTER_TIMEOUT, || {
            let there: Vec<_> = KINDS.into_iter().filter(|kind| namespace.get(kind, HUB).is_ok()).collect();
            ensure!(there.is_empty(), "{there:?}");
            Ok(())
        })?;
        namespace.wait_condition(HUB, "Exposed", "False", "NotRequested")?;
        namespace.wait_ready(HUB)
    });
}

fn is_installed(namespace: &Namespace) -> bool {
    KINDS.into_iter().all(|kind| namespace.kubectl(&["get", kind]).is_ok())
}

fn check_all_exist(namespace: &Namespace) -> Result<()> {
    for kind in KINDS {
        let owner = namespace.get(kind, HUB)?["metadata"]["ownerReferences"][0]["kind"].clone();
        ensure!(owner == "NotificationHub", "{kind}: {owner}");
    }
    Ok(())
}

/// Writes the status of the route, as the controller of the Gateway would.
fn set_route_status(namespace: &Namespace, accepted: &str) -> Result<()> {
    let route = namespace.get("httproute", HUB)?;
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": "Tested", "message": "as the test says",
            "observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let parent = json!({
        "parentRef": route["spec"]["parentRefs"][0], "controllerName": "example.com/gateway",
        "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", "True")],
    });
    let status = json!({"status": {"parents": [parent]}}).to_string();
    namespace.kubectl(&["patch", "httproute", HUB, "--subresource=status", "--type=merge", "-p", &status]).map(drop)
}

/// Fails if a reconcile writes an object of these kinds. The CRDs may add defaults.
fn check_unchanged(namespace: &Namespace) -> Result<()> {
    let versions = || -> Result<Vec<Value>> {
        KINDS.into_iter().map(|kind| Ok(namespace.get(kind, HUB)?["metadata"]["resourceVersion"].clone())).collect()
    };
    let before = versions()?;
    // Cause a whole reconcile.
    namespace.kubectl(&["delete", "configmap", HUB])?;
    until("the ConfigMap is back", CLUSTER_TIMEOUT, || namespace.get("configmap", HUB))?;
    namespace.wait_condition(HUB, "Exposed", "True", "Exposed")?;
    ensure!(versions()? == before, "{:?} instead of {before:?}", versions()?);
    Ok(())
}
