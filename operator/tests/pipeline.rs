//! One reconcile: from a resource to its children and its status.

use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    CHILDREN, HUBS, complete_rollout, condition, context, hub, key, message, minimal_spec, reconcile_once,
};

async fn applied(spec: Value) -> FakeApi {
    let api = FakeApi::new();
    api.create(hub("vault", spec));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    api
}

#[tokio::test]
async fn reconcile_creates_every_child_with_owner_and_labels() {
    let api = applied(minimal_spec()).await;
    let uid = api.get(&key(HUBS, "vault")).expect("the hub")["metadata"]["uid"].clone();
    for (resource, name) in CHILDREN {
        let child = api.get(&key(resource, name)).unwrap_or_else(|| panic!("no {resource} {name}"));
        let metadata = &child["metadata"];
        let owner = json!([{
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "name": "vault", "uid": uid,
            "controller": true,
        }]);
        assert_eq!(metadata["ownerReferences"], owner, "{resource} {name}");
        let labels = json!({
            "app.kubernetes.io/name": "notification-hub",
            "app.kubernetes.io/instance": "vault",
            "app.kubernetes.io/managed-by": "notification-hub-operator",
        });
        assert_eq!(metadata["labels"], labels, "{resource} {name}");
    }
    let added = api.changes_since(0).iter().filter(|change| change.starts_with("ADDED")).count();
    assert_eq!(added, 1 + CHILDREN.len() + 1, "the hub, its children, an Event: {:?}", api.changes_since(0));
}

#[tokio::test]
async fn status_has_urls_conditions_and_observed_generation() {
    let api = applied(minimal_spec()).await;
    let status = api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(status["url"], "http://vault.bitwarden.svc:5000");
    assert_eq!(status["sendURL"], "http://vault-internal.bitwarden.svc:5001");
    assert_eq!(status["source"], "Direct");
    assert_eq!(status["selector"], "app.kubernetes.io/name=notification-hub,app.kubernetes.io/instance=vault");
    assert_eq!(status["image"], "registry.example.com/hub:1.0.0");
    assert_eq!((&status["replicas"], &status["readyReplicas"]), (&json!(0), &json!(0)));
    let conditions = status["conditions"].as_array().expect("conditions");
    assert_eq!(conditions.len(), 9);
    assert!(conditions.iter().all(|condition| condition["observedGeneration"] == 1), "{conditions:#?}");
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Progressing".into()));
    assert_eq!(condition(&api, "vault", "SpecValid"), ("True".into(), "Valid".into()));
    assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("True".into(), "Resolved".into()));
    assert_eq!(condition(&api, "vault", "Conflict"), ("False".into(), "NoConflict".into()));
    let writes = api.changes_since(0).iter().filter(|change| change.starts_with("MODIFIED")).count();
    assert_eq!(writes, 1, "the whole status in one write");
}

#[tokio::test]
async fn reconcile_of_an_unchanged_hub_writes_nothing() {
    let api = FakeApi::new();
    let context = context(&api);
    api.create(hub("vault", minimal_spec()));
    reconcile_once(&api, &context, "vault").await.expect("the first reconcile");
    let version = api.version();
    reconcile_once(&api, &context, "vault").await.expect("the second reconcile");
    assert_eq!(api.changes_since(version), [""; 0], "during the rollout");

    complete_rollout(&api, "vault");
    reconcile_once(&api, &context, "vault").await.expect("a reconcile that notices");
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
    let version = api.version();
    reconcile_once(&api, &context, "vault").await.expect("one more reconcile");
    assert_eq!(api.changes_since(version), [""; 0], "when the hub is ready");
}

#[tokio::test]
async fn hub_scaled_to_zero_is_ready() {
    let api = applied(json!({ "replicas": 0, "source": { "direct": {} }, "auth": { "generate": {} } })).await;
    complete_rollout(&api, "vault");
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "ScaledToZero".into()));
    assert_eq!(condition(&api, "vault", "Available"), ("False".into(), "ScaledToZero".into()));
}

#[tokio::test]
async fn scaling_updates_observed_generation_of_status_and_conditions() {
    let api = applied(minimal_spec()).await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["replicas"] = json!(0));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    let status = api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
    assert_eq!(status["observedGeneration"], 2);
    let all = status["conditions"].as_array().expect("conditions").iter().all(|each| each["observedGeneration"] == 2);
    assert!(all, "{status:#}");
    assert_eq!(api.get(&key("apps/deployments", "vault")).expect("the Deployment")["spec"]["replicas"], 0);
}

#[tokio::test]
async fn unowned_child_object_is_a_conflict_without_writes() {
    let unowned_object = |resource: &str, name: &str, owner: Value| {
        let (group, kind) = match resource {
            "serviceaccounts" => ("v1", "ServiceAccount"),
            "configmaps" => ("v1", "ConfigMap"),
            "secrets" => ("v1", "Secret"),
            "services" => ("v1", "Service"),
            _ => ("apps/v1", "Deployment"),
        };
        let metadata = json!({ "name": name, "namespace": "bitwarden", "ownerReferences": owner });
        (json!({ "apiVersion": group, "kind": kind, "metadata": metadata, "data": { "mine": "bWluZQ==" } }), kind)
    };
    // Without owner, with another controller, and with the hub as an owner that is not the controller.
    let other = |uid: &str, controller: bool| json!([{ "uid": uid, "controller": controller, "name": "x", "kind": "X", "apiVersion": "v1" }]);
    for owner in [json!([]), other("other-uid", true), other("uid-1", false)] {
        for (resource, name) in CHILDREN {
            let api = FakeApi::new();
            let context = context(&api);
            api.create(hub("vault", minimal_spec()));
            let (object, kind) = unowned_object(resource, name, owner.clone());
            let before = api.create(object);
            reconcile_once(&api, &context, "vault").await.expect("a reconcile");

            assert_eq!(api.get(&key(resource, name)), Some(before), "{resource} {name}");
            let made: Vec<_> =
                CHILDREN.iter().filter(|(resource, name)| api.get(&key(resource, name)).is_some()).collect();
            assert_eq!(made, [&(resource, name)], "other children were created");
            assert_eq!(condition(&api, "vault", "Conflict"), ("True".into(), "ForeignObject".into()));
            assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Conflict".into()));
            let named = format!("{kind} {name}");
            assert!(message(&api, "vault", "Conflict").contains(&named), "{}", message(&api, "vault", "Conflict"));
            let version = api.version();
            reconcile_once(&api, &context, "vault").await.expect("a second reconcile");
            assert_eq!(api.changes_since(version), [""; 0]);

            api.delete(&key(resource, name));
            reconcile_once(&api, &context, "vault").await.expect("a reconcile without the conflicting object");
            assert_eq!(condition(&api, "vault", "Conflict"), ("False".into(), "NoConflict".into()));
            assert!(CHILDREN.iter().all(|(resource, name)| api.get(&key(resource, name)).is_some()));
        }
    }
}

#[tokio::test]
async fn pod_template_protected_and_unknown_fields_are_dropped() {
    let mut spec = minimal_spec();
    spec["podTemplate"] = json!({
        "metadata": { "labels": { "app.kubernetes.io/instance": "other", "team": "identity" } },
        "spec": {
            "shinyNewField": 1,
            "containers": [{ "name": "hub", "env": [
                { "name": "notification_hub__auth__keys", "value": "/tmp" },
                { "name": "HTTP_PROXY", "value": "http://proxy" },
            ] }],
        },
    });
    let api = applied(spec).await;
    assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "FieldsDropped".into()));
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Progressing".into()), "the rest is applied");
    let shown = message(&api, "vault", "SpecValid");
    for path in [
        "podTemplate.spec.shinyNewField",
        "podTemplate.metadata.labels[app.kubernetes.io/instance]",
        "podTemplate.spec.containers[hub].env[notification_hub__auth__keys]",
    ] {
        assert!(shown.contains(path), "{path} in {shown}");
    }
    let template = api.get(&key("apps/deployments", "vault")).expect("the Deployment")["spec"]["template"].clone();
    assert_eq!(template["metadata"]["labels"]["app.kubernetes.io/instance"], "vault");
    assert_eq!(template["metadata"]["labels"]["team"], "identity");
    assert_eq!(template["spec"]["containers"][0]["env"], json!([{ "name": "HTTP_PROXY", "value": "http://proxy" }]));
}

#[tokio::test]
async fn pod_template_env_from_without_safe_prefix_is_dropped() {
    let mut spec = minimal_spec();
    let from = |prefix: Option<&str>, name: &str| {
        let mut source = json!({ "configMapRef": { "name": name } });
        source["prefix"] = json!(prefix);
        source
    };
    let sources = json!([
        from(None, "anything"),
        from(Some("notification_hub__"), "ours"),
        from(Some("GLOBALSETTINGS__BASESERVICEURI__"), "originals"),
        from(Some("ASP"), "urls"),
        { "prefix": "N", "secretRef": { "name": "secret" } },
        from(Some("NOTIFICATION_HUB__SIGNALR__"), "log"),
        from(Some("PROXY_"), "proxy"),
    ]);
    let env = json!([{ "name": "aspnetcore_urls", "value": "http://+:80" }]);
    spec["podTemplate"] = json!({ "spec": { "containers": [{ "name": "hub", "env": env, "envFrom": sources }] } });
    let api = applied(spec).await;
    let shown = message(&api, "vault", "SpecValid");
    for name in ["anything", "ours", "originals", "urls", "secret"] {
        assert!(shown.contains(&format!("podTemplate.spec.containers[hub].envFrom[{name}]")), "{name} in {shown}");
    }
    assert!(shown.contains("podTemplate.spec.containers[hub].env[aspnetcore_urls]"), "{shown}");
    let container =
        &api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"]["spec"]["containers"][0];
    let kept: Vec<_> =
        container["envFrom"].as_array().expect("sources").iter().map(|each| each["prefix"].clone()).collect();
    assert_eq!(kept, ["NOTIFICATION_HUB__SIGNALR__", "PROXY_"]);
}

#[tokio::test]
async fn invalid_spec_leaves_the_children_unchanged() {
    let table = [
        (json!({ "replicas": 2 }), "InvalidSpec", "replicas: 2"),
        (json!({ "source": {} }), "InvalidSpec", "source: not set"),
        (json!({ "source": { "direct": {}, "azureQueue": {} } }), "InvalidSpec", "source: both direct and azureQueue"),
        (json!({ "source": { "azureQueue": {} } }), "InvalidSpec", "source.azureQueue: set either"),
        (json!({ "auth": { "issuer": "x" } }), "InvalidSpec", "auth: no keys"),
        (
            json!({ "podTemplate": { "spec": { "containers": 1 } } }),
            "InvalidPodTemplate",
            "podTemplate.spec.containers",
        ),
        (
            json!({ "podTemplate": { "spec": { "containers": [{ "name": "sidecar" }] } } }),
            "InvalidPodTemplate",
            "podTemplate.spec.containers[sidecar]: no image",
        ),
        (
            json!({ "podTemplate": { "spec": { "volumes": [{ "name": "x", "emptyDir": {}, "hostPath": { "path": "/" } }] } } }),
            "InvalidPodTemplate",
            "podTemplate.spec.volumes[x]",
        ),
    ];
    for (change, reason, expected) in table {
        let api = applied(minimal_spec()).await;
        complete_rollout(&api, "vault");
        api.edit(&key(HUBS, "vault"), |hub| {
            for (field, value) in change.as_object().expect("fields") {
                hub["spec"][field] = value.clone();
            }
        });
        let version = api.version();
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), reason.into()), "{change}");
        assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "InvalidSpec".into()), "{change}");
        assert_eq!(condition(&api, "vault", "Available"), ("True".into(), "Available".into()), "the pods keep running");
        assert!(message(&api, "vault", "SpecValid").contains(expected), "{}", message(&api, "vault", "SpecValid"));
        let changes = api.changes_since(version);
        let children: Vec<_> = changes
            .iter()
            .filter(|change| !change.contains("notificationhubs") && !change.contains("events"))
            .collect();
        assert!(children.is_empty(), "{change}: {children:?}");
    }
}

#[tokio::test]
async fn child_rejected_by_the_api_server_is_reported() {
    for code in [400, 403, 413, 422] {
        // Calls 0 to 7 read a Secret and the metadata of seven children. Then follow a dry run and the first apply.
        for (calls, child) in [(8, "Deployment vault: "), (9, "ServiceAccount vault: ")] {
            let api = FakeApi::new();
            api.create(hub("vault", minimal_spec()));
            api.inject(calls, Fault::Refused(code));
            reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
            assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "ChildRejected".into()));
            let shown = message(&api, "vault", "Ready");
            assert!(shown.starts_with(child), "{shown}");
            reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
            assert_eq!(condition(&api, "vault", "SpecValid"), ("True".into(), "Valid".into()));
        }
    }
}

#[tokio::test]
async fn pod_template_probe_handler_replaces_default_but_keeps_timings() {
    let mut spec = minimal_spec();
    spec["podTemplate"] = json!({ "spec": { "containers": [{
        "name": "hub",
        "livenessProbe": { "tcpSocket": { "port": "admin" }, "periodSeconds": 7 },
        "readinessProbe": { "httpGet": { "path": "/other", "port": 9090 } },
        "startupProbe": { "failureThreshold": 90 },
        "lifecycle": { "preStop": { "exec": { "command": ["/bin/true"] } } },
    }] } });
    let api = applied(spec).await;
    assert_eq!(condition(&api, "vault", "SpecValid"), ("True".into(), "Valid".into()));
    let container =
        &api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"]["spec"]["containers"][0];
    let liveness = json!({
        "tcpSocket": { "port": "admin" }, "periodSeconds": 7, "failureThreshold": 3, "timeoutSeconds": 5,
    });
    assert_eq!(container["livenessProbe"], liveness);
    let readiness = json!({
        "httpGet": { "path": "/other", "port": 9090 }, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 5,
    });
    assert_eq!(container["readinessProbe"], readiness);
    assert_eq!(
        container["startupProbe"]["httpGet"]["path"], "/healthz",
        "a probe without a handler keeps the built one"
    );
    assert_eq!(container["startupProbe"]["failureThreshold"], 90);
    assert_eq!(container["lifecycle"], json!({ "preStop": { "exec": { "command": ["/bin/true"] } } }));
}

#[tokio::test]
async fn status_from_a_stale_resource_is_not_written() {
    let api = FakeApi::new();
    let context = context(&api);
    let old = api.create(hub("vault", minimal_spec()));
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["replicas"] = json!(0));
    let guarded = serde_json::from_value(old).expect("a hub");
    let error = notification_hub_operator::controller::reconcile(std::sync::Arc::new(guarded), context.clone())
        .await
        .expect_err("a stale reconcile");
    assert_eq!((error.step(), error.category()), ("status", "conflict"));
    assert!(api.get(&key(HUBS, "vault")).expect("the hub").get("status").is_none());
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    assert_eq!(api.get(&key(HUBS, "vault")).expect("the hub")["status"]["observedGeneration"], 2);
}

#[tokio::test]
async fn hub_being_deleted_causes_no_call() {
    let api = FakeApi::new();
    let mut deleted = hub("vault", minimal_spec());
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    api.create(deleted);
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    assert_eq!(api.take_calls(), [""; 0]);
}

#[tokio::test]
async fn hub_name_over_40_characters_is_invalid() {
    let name = "v".repeat(40);
    let api = FakeApi::new();
    api.create(hub(&name, minimal_spec()));
    reconcile_once(&api, &context(&api), &name).await.expect("a reconcile");
    assert_eq!(condition(&api, &name, "SpecValid"), ("True".into(), "Valid".into()));
    let longer = "v".repeat(41);
    api.create(hub(&longer, minimal_spec()));
    reconcile_once(&api, &context(&api), &longer).await.expect("a reconcile");
    assert_eq!(condition(&api, &longer, "SpecValid"), ("False".into(), "InvalidSpec".into()));
    assert!(message(&api, &longer, "SpecValid").contains("40 characters"));
}
