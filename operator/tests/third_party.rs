//! Third-party kinds: skipped and reported while the API server does not serve them, applied afterwards, and the
//! condition `Exposed` of an HTTPRoute.

use kube::Client;
use notification_hub_operator::third_party::{ServedKinds, ThirdPartyKind, discover};
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    HUBS, REDIS_URL, complete_rollout, condition, context, has_condition, hub, key, message, minimal_spec,
    reconcile_once, secret, with_autoscaling, with_redis,
};
use crate::common::store::Key;
use crate::controller::Running;

/// Returns the key of the child of a kind.
fn child_key(kind: ThirdPartyKind) -> Key {
    let resource = kind.resource();
    key(&format!("{}/{}", resource.group, resource.plural), "vault")
}

/// Returns a spec that requests a child of each kind.
fn with_all() -> Value {
    let mut spec = with_autoscaling(json!({ "maxReplicas": 3, "keda": {} }));
    spec["expose"] = json!({ "httpRoute": { "parentRefs": [{ "name": "public" }] } });
    spec["monitoring"] = json!({ "serviceMonitor": { "enabled": true }, "podMonitor": { "enabled": true } });
    spec
}

/// Returns a spec with an HTTPRoute.
fn with_route(parents: Value) -> Value {
    let mut spec = minimal_spec();
    spec["expose"] = json!({ "httpRoute": { "parentRefs": parents } });
    spec
}

/// Returns an API server with the Secret of Redis and a hub.
fn with_hub(spec: Value) -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    api.create(hub("vault", spec));
    api
}

/// Reconciles, completes the rollout and reconciles again, with these served kinds.
async fn reconcile_until_ready(api: &FakeApi, served: &ServedKinds) {
    let context = context(api);
    context.served.send_replace(served.clone());
    reconcile_once(api, &context, "vault").await.expect("a reconcile");
    complete_rollout(api, "vault");
    reconcile_once(api, &context, "vault").await.expect("a reconcile");
}

fn all() -> ServedKinds {
    ThirdPartyKind::ALL.into_iter().collect()
}

/// Returns which third-party children exist.
fn existing(api: &FakeApi) -> [bool; 4] {
    ThirdPartyKind::ALL.map(|kind| api.get(&child_key(kind)).is_some())
}

#[tokio::test]
async fn unserved_kind_is_reported_and_skipped_until_served() {
    let api = with_hub(with_all());
    reconcile_until_ready(&api, &ServedKinds::default()).await;
    assert_eq!(existing(&api), [false; 4]);
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()), "the hub runs without them");
    assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "KindNotServed".into()));
    assert_eq!(condition(&api, "vault", "Exposed"), ("False".into(), "KindNotServed".into()));
    let shown = message(&api, "vault", "SpecValid");
    for kind in ThirdPartyKind::ALL {
        assert!(shown.contains(&format!("{}: the API server does not serve {kind}", kind.field())), "{shown}");
    }
    assert!(message(&api, "vault", "Exposed").contains("HTTPRoute (gateway.networking.k8s.io/v1)"));

    reconcile_until_ready(&api, &all()).await;
    assert_eq!(existing(&api), [true; 4]);
    assert_eq!(condition(&api, "vault", "SpecValid"), ("True".into(), "Valid".into()));
    let version = api.version();
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(api.changes_since(version), [""; 0]);

    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_redis("redis", 1));
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(existing(&api), [false; 4]);
    assert_eq!(condition(&api, "vault", "Exposed"), ("False".into(), "NotRequested".into()));
}

#[tokio::test(start_paused = true)]
async fn kind_installed_later_is_discovered_and_watched() {
    let api = with_hub(with_route(json!([{ "name": "public" }])));
    let running = Running::start(&api, &[]);
    let exposed = |status, reason| move |api: &FakeApi| has_condition(api, "vault", "Exposed", (status, reason));
    api.until("the missing kind is reported", exposed("False", "KindNotServed")).await;

    api.install(ThirdPartyKind::HttpRoute);
    api.until("the route is applied", |api| api.get(&child_key(ThirdPartyKind::HttpRoute)).is_some()).await;
    api.until("no controller has accepted the route", exposed("False", "RoutePending")).await;
    api.edit(&child_key(ThirdPartyKind::HttpRoute), |route| route["spec"]["rules"] = json!([]));
    let rules = |api: &FakeApi| api.get(&child_key(ThirdPartyKind::HttpRoute)).expect("it")["spec"]["rules"].clone();
    api.until("an edit is reverted", |api| rules(api)[0]["backendRefs"][0]["port"] == 5000).await;
    api.delete(&child_key(ThirdPartyKind::HttpRoute));
    api.until("a deleted route is recreated", |api| api.get(&child_key(ThirdPartyKind::HttpRoute)).is_some()).await;

    for kind in [ThirdPartyKind::ServiceMonitor, ThirdPartyKind::PodMonitor, ThirdPartyKind::ScaledObject] {
        assert!(api.get(&child_key(kind)).is_none(), "the spec does not request {kind}");
    }
    api.uninstall(ThirdPartyKind::HttpRoute);
    api.until("the missing kind is reported again", exposed("False", "KindNotServed")).await;
    api.install(ThirdPartyKind::HttpRoute);
    api.until("the kind is served again", exposed("False", "RoutePending")).await;
    running.stop().await;
}

#[tokio::test]
async fn discovery_failure_keeps_the_known_kinds() {
    let api = FakeApi::new();
    api.install(ThirdPartyKind::PodMonitor);
    let known = discover(&api.client(), &all()).await;
    assert_eq!(known, [ThirdPartyKind::PodMonitor].into_iter().collect());
    let unavailable = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        let answer = http::Response::builder().status(500).body(axum::body::Body::from("{}"));
        Ok::<_, std::convert::Infallible>(answer.expect("a response"))
    });
    assert_eq!(discover(&Client::new(unavailable, "default"), &known).await, known);
}

/// Returns the status of a route for a parent.
fn parent_status(parent: Value, generation: i64, accepted: &str, resolved: &str) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": format!("{kind}Reason"), "message": "as it says",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "parentRef": parent, "controllerName": "example.com/gateway",
        "conditions": [condition("Accepted", accepted), condition("ResolvedRefs", resolved)],
    })
}

#[tokio::test]
async fn exposed_condition_follows_the_http_route_status() {
    let whole =
        json!({ "group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "bitwarden", "name": "public" });
    let elsewhere = json!({ "name": "inner", "namespace": "gateways", "sectionName": "https" });
    let first = |accepted, resolved| parent_status(whole.clone(), 1, accepted, resolved);
    let second = |accepted, resolved| parent_status(elsewhere.clone(), 1, accepted, resolved);
    let mut refused_without_message = first("False", "True");
    refused_without_message["conditions"][0]["reason"] = json!("NotAllowedByListeners");
    refused_without_message["conditions"][0]["message"] = json!("");
    let table = [
        (
            json!([]),
            "False",
            "RoutePending",
            "Gateway public, Gateway gateways/inner, listener https; check that the parent exists",
        ),
        (json!([first("True", "True")]), "False", "RoutePending", "not accepted yet by Gateway gateways/inner"),
        (
            json!([first("True", "True"), second("True", "True")]),
            "True",
            "Exposed",
            "is accepted by Gateway public, Gateway gateways/inner, listener https",
        ),
        (
            json!([first("True", "True"), second("False", "True")]),
            "False",
            "RouteNotAccepted",
            "not accepted by Gateway gateways/inner, listener https: AcceptedReason: as it says",
        ),
        (
            json!([first("True", "False")]),
            "False",
            "RouteNotAccepted",
            "ResolvedRefsReason: as it says; change expose.httpRoute or the parent",
        ),
        (
            json!([refused_without_message]),
            "False",
            "RouteNotAccepted",
            "by Gateway public: NotAllowedByListeners; allow routes from the hub's namespace",
        ),
        (json!([first("Unknown", "True"), second("True", "True")]), "False", "RoutePending", "Gateway public"),
        // A status of an earlier generation.
        (
            json!([parent_status(whole.clone(), 0, "False", "True"), second("True", "True")]),
            "False",
            "RoutePending",
            "public",
        ),
        // A status of another listener.
        (
            json!([
                first("True", "True"),
                parent_status(json!({ "name": "inner", "namespace": "gateways" }), 1, "True", "True")
            ]),
            "False",
            "RoutePending",
            "gateways/inner",
        ),
    ];
    for (parents, status, reason, expected) in table {
        let api = with_hub(with_route(json!([{ "name": "public" }, elsewhere])));
        reconcile_until_ready(&api, &all()).await;
        api.edit(&child_key(ThirdPartyKind::HttpRoute), |route| route["status"] = json!({ "parents": parents }));
        reconcile_until_ready(&api, &all()).await;
        assert_eq!(condition(&api, "vault", "Exposed"), (status.into(), reason.into()), "{parents}");
        let message = message(&api, "vault", "Exposed");
        assert!(message.contains(expected), "{expected} in {message}");
        assert_eq!(condition(&api, "vault", "Ready").0, "True", "Exposed does not affect Ready");
    }
}

#[tokio::test]
async fn exposed_with_ingress_and_route_reports_the_failing_one() {
    let mut spec = with_route(json!([{ "name": "public" }]));
    spec["expose"]["ingress"] = json!({ "className": "nginx" });
    let api = with_hub(spec);
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(condition(&api, "vault", "Exposed"), ("False".into(), "NoAddress".into()));
    api.edit(&key("networking.k8s.io/ingresses", "vault"), |it| {
        it["status"] = json!({ "loadBalancer": { "ingress": [{ "ip": "192.0.2.1" }] } });
    });
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(condition(&api, "vault", "Exposed"), ("False".into(), "RoutePending".into()));
    api.edit(&child_key(ThirdPartyKind::HttpRoute), |route| {
        route["status"] = json!({ "parents": [parent_status(json!({ "name": "public" }), 1, "True", "True")] });
    });
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(condition(&api, "vault", "Exposed"), ("True".into(), "Exposed".into()));
    let shown = message(&api, "vault", "Exposed");
    assert!(shown.contains("192.0.2.1") && shown.contains("Gateway public"), "{shown}");
}

#[tokio::test]
async fn unowned_http_route_is_a_conflict_and_unchanged() {
    let api = with_hub(with_route(json!([{ "name": "public" }])));
    let metadata = json!({ "name": "vault", "namespace": "bitwarden" });
    let unowned = json!({ "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": { "parentRefs": [] } });
    api.create(unowned);
    let context = context(&api);
    context.served.send_replace(all());
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    assert_eq!(condition(&api, "vault", "Conflict"), ("True".into(), "ForeignObject".into()));
    assert!(message(&api, "vault", "Ready").contains("HTTPRoute vault"));
    assert_eq!(api.get(&child_key(ThirdPartyKind::HttpRoute)).expect("it")["spec"], json!({ "parentRefs": [] }));
}

#[tokio::test]
async fn switch_from_hpa_to_keda_keeps_live_replicas() {
    let api = with_hub(with_redis("redis", 3));
    let autoscaler = key("autoscaling/horizontalpodautoscalers", "vault");
    let count = |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["replicas"].clone();
    reconcile_until_ready(&api, &all()).await;
    let specs = [json!({ "maxReplicas": 5 }), json!({ "maxReplicas": 5, "keda": {} })];
    for (autoscaling, by_keda) in specs.into_iter().zip([false, true]) {
        api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_autoscaling(autoscaling));
        api.take_calls();
        reconcile_until_ready(&api, &all()).await;
        assert_eq!(count(&api), 3, "the live number is kept");
        assert_eq!(api.get(&autoscaler).is_some(), !by_keda);
        assert_eq!(api.get(&child_key(ThirdPartyKind::ScaledObject)).is_some(), by_keda);
        if by_keda {
            let calls = api.take_calls();
            let at = |call: &str| calls.iter().position(|each| each == call).expect(call);
            // KEDA refuses a Deployment that another autoscaler scales.
            assert!(at("delete horizontalpodautoscalers vault") < at("patch scaledobjects vault"), "{calls:#?}");
        }
    }
    api.edit(&key("apps/deployments", "vault"), |it| it["spec"]["replicas"] = json!(4));
    reconcile_until_ready(&api, &all()).await;
    assert_eq!(count(&api), 4, "the number of KEDA is kept");

    // After an uninstallation of KEDA, the number is kept.
    api.delete(&child_key(ThirdPartyKind::ScaledObject));
    reconcile_until_ready(&api, &ServedKinds::default()).await;
    assert_eq!(count(&api), 4);

    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_redis("redis", 2));
    reconcile_until_ready(&api, &all()).await;
    assert_eq!((count(&api), existing(&api)), (json!(2), [false; 4]));
}

#[tokio::test]
async fn rejected_third_party_object_does_not_block_other_children() {
    for kind in ThirdPartyKind::ALL {
        for (verb, code) in [("get", 403), ("patch", 403), ("patch", 422)] {
            let api = with_hub(with_all());
            let plural = kind.resource().plural;
            api.refuse(&format!("{verb} {plural}"), code);
            let context = context(&api);
            context.served.send_replace(all());
            reconcile_once(&api, &context, "vault").await.expect("a reconcile");
            assert!(api.get(&key("apps/deployments", "vault")).is_some(), "{verb} {plural} {code}");
            assert!(api.get(&child_key(kind)).is_none());
            assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "ChildRejected".into()));
            let shown = message(&api, "vault", "SpecValid");
            assert!(shown.starts_with(&kind.resource().kind), "{shown}");
        }
    }
}

#[tokio::test]
async fn unused_third_party_kind_needs_no_list_permission() {
    for kind in ThirdPartyKind::ALL {
        let api = with_hub(minimal_spec());
        api.refuse(&format!("list {}", kind.resource().plural), 403);
        reconcile_until_ready(&api, &all()).await;
        assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()), "{kind}");
    }
}
