//! Drift: edits of fields that the operator owns are reverted, and fields that other clients add are kept.

use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, P256_PRIVATE, complete_rollout, context, has_condition, hub, key, minimal_spec,
    reconcile_once, secret, with_queue,
};

async fn applied() -> FakeApi {
    let api = FakeApi::new();
    api.create(hub("vault", minimal_spec()));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    api
}

/// Returns an object without the metadata that the server maintains.
fn content(api: &FakeApi, (resource, name): (&str, &str)) -> Value {
    let mut object = api.get(&key(resource, name)).unwrap_or_else(|| panic!("no {resource} {name}"));
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|field, _| ["name", "namespace", "labels", "ownerReferences"].contains(&field.as_str()));
    object
}

#[tokio::test]
async fn deleted_child_is_recreated() {
    for child in CHILDREN {
        let api = applied().await;
        let before = content(&api, child);
        api.delete(&key(child.0, child.1));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        let mut after = content(&api, child);
        if child.1 == "vault-jwt" {
            assert_ne!(after["data"], before["data"], "a deleted key is replaced by a new one");
            after["data"] = before["data"].clone();
        }
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn edited_owned_fields_are_reverted() {
    type Edit = (&'static str, &'static str, &'static str, fn(&mut Value));
    let edits: [Edit; 15] = [
        ("services", "vault", "a port's number", |it| it["spec"]["ports"][0]["port"] = json!(80)),
        ("services", "vault", "a port's name", |it| it["spec"]["ports"][0]["name"] = json!("web")),
        ("services", "vault-internal", "the selector", |it| it["spec"]["selector"] = json!({ "app": "other" })),
        ("services", "vault-internal", "the type", |it| it["spec"]["type"] = json!("LoadBalancer")),
        ("services", "vault-metrics", "no port", |it| it["spec"]["ports"] = json!([])),
        ("configmaps", "vault", "the log level", |it| it["data"]["log-level"] = json!("")),
        ("apps/deployments", "vault", "the configuration", |it| {
            it["spec"]["template"]["metadata"]["annotations"]["notificationhub.rs/config"] = json!("");
        }),
        ("secrets", "vault-jwt", "the public key", |it| it["data"]["jwks.json"] = json!("e30=")),
        ("serviceaccounts", "vault", "its token", |it| it["automountServiceAccountToken"] = json!(true)),
        ("apps/deployments", "vault", "replicas", |it| it["spec"]["replicas"] = json!(7)),
        ("apps/deployments", "vault", "the image", |it| container(it)["image"] = json!("evil")),
        ("apps/deployments", "vault", "a port's number", |it| container(it)["ports"][0]["containerPort"] = json!(80)),
        ("apps/deployments", "vault", "privileges", |it| {
            container(it)["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        }),
        ("apps/deployments", "vault", "no volumes", |it| it["spec"]["template"]["spec"]["volumes"] = json!([])),
        ("apps/deployments", "vault", "a label", |it| {
            it["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("me");
        }),
    ];
    for (resource, name, what, edit) in edits {
        let api = FakeApi::new();
        // One context, so that its apply cache has the applied children.
        let context = context(&api);
        api.create(hub("vault", minimal_spec()));
        reconcile_once(&api, &context, "vault").await.expect("a reconcile");
        let before = content(&api, (resource, name));
        for _ in 0..2 {
            api.edit(&key(resource, name), edit);
            assert_ne!(content(&api, (resource, name)), before, "{what}: the edit does nothing");
            reconcile_once(&api, &context, "vault").await.expect(what);
            assert_eq!(content(&api, (resource, name)), before, "{resource} {name}: {what}");
            let version = api.version();
            reconcile_once(&api, &context, "vault").await.expect(what);
            assert_eq!(api.changes_since(version), [""; 0], "{resource} {name}: {what}");
        }
    }
}

#[tokio::test]
async fn edited_deployment_of_a_queue_hub_is_reverted() {
    type Edit = (&'static str, fn(&mut Value));
    let edits: [Edit; 6] = [
        ("a reference to something else", |it| {
            let other = json!({ "configMapKeyRef": { "name": "other", "key": "url" } });
            container(it)["env"][0]["valueFrom"] = other;
        }),
        ("a value for the connection string", |it| {
            container(it)["env"][0].as_object_mut().expect("a variable").remove("valueFrom");
            container(it)["env"][0]["value"] = json!("UseDevelopmentStorage=true");
        }),
        ("another Secret", |it| container(it)["env"][0]["valueFrom"]["secretKeyRef"]["name"] = json!("other")),
        ("no variable", |it| container(it)["env"] = json!([])),
        ("a port's number", |it| container(it)["ports"][0]["containerPort"] = json!(80)),
        ("a value, beside a variable of the user's", |it| {
            container(it)["env"] = json!([
                { "name": "HTTP_PROXY", "value": "http://proxy" },
                { "name": "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING", "value": "x" },
            ]);
        }),
    ];
    for (what, edit) in edits {
        let api = FakeApi::new();
        api.create(secret("storage", &[("url", CONNECTION_STRING)]));
        api.create(hub("vault", with_queue("storage")));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        let deployment = ("apps/deployments", "vault");
        let mut before = content(&api, deployment);
        api.edit(&key(deployment.0, deployment.1), edit);
        reconcile_once(&api, &context(&api), "vault").await.expect(what);
        let mut after = content(&api, deployment);
        if what.ends_with("the user's") {
            let env = container(&mut after)["env"].as_array_mut().expect("variables");
            assert_eq!(env.remove(0)["name"], "HTTP_PROXY", "the variable of the user is kept");
        }
        assert_eq!(container(&mut after), container(&mut before), "{what}");
        assert_eq!(after, before, "{what}");
    }
}

fn container(deployment: &mut Value) -> &mut Value {
    &mut deployment["spec"]["template"]["spec"]["containers"][0]
}

/// An edit of a spec that the API server refuses, with each status of a refusal.
#[tokio::test]
async fn spec_edit_rejected_by_api_server_changes_no_child() {
    for code in [400, 403, 413, 422] {
        let api = FakeApi::new();
        let context = context(&api);
        api.create(secret("storage", &[("url", CONNECTION_STRING)]));
        api.create(hub("vault", with_queue("storage")));
        reconcile_once(&api, &context, "vault").await.expect("a reconcile");
        api.edit(&key(HUBS, "vault"), |hub| {
            let resources = json!({ "requests": { "memory": "1Gi" } });
            hub["spec"]["podTemplate"] =
                json!({ "spec": { "containers": [{ "name": "hub", "resources": resources }] } });
            hub["spec"]["installationID"] = json!("6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1");
            hub["spec"]["service"] = json!({ "type": "LoadBalancer" });
            hub["spec"]["auth"] = json!({ "generate": { "algorithm": "ES256" } });
        });
        api.refuse("patch deployments", code);
        let version = api.version();
        for _ in 0..2 {
            reconcile_once(&api, &context, "vault").await.expect("a reconcile");
            assert!(has_condition(&api, "vault", "SpecValid", ("False", "ChildRejected")), "{code}");
        }
        let mut changes = api.changes_since(version);
        changes.retain(|change| !change.contains("notificationhubs") && !change.contains("events"));
        assert_eq!(changes, [""; 0], "{code}");

        api.allow("patch deployments");
        reconcile_once(&api, &context, "vault").await.expect("a reconcile");
        assert!(has_condition(&api, "vault", "SpecValid", ("True", "Valid")), "{code}");
        assert_eq!(api.get(&key("services", "vault")).expect("it")["spec"]["type"], "LoadBalancer", "{code}");
    }
}

#[tokio::test]
async fn unchanged_children_cause_no_write_request() {
    let api = FakeApi::new();
    let context = context(&api);
    api.create(hub("vault", minimal_spec()));
    for _ in 0..2 {
        reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    }
    complete_rollout(&api, "vault");
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    api.take_calls();
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    let calls = api.take_calls();
    assert!(calls.iter().all(|call| call.starts_with("get ") || call.starts_with("list ")), "{calls:#?}");
}

#[tokio::test]
async fn fields_added_by_others_are_kept() {
    let api = applied().await;
    let deployment = key("apps/deployments", "vault");
    let edited = api.edit(&deployment, |it| {
        // As `kubectl rollout restart`, and as an injected sidecar.
        it["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = json!("now");
        let containers = it["spec"]["template"]["spec"]["containers"].as_array_mut().expect("containers");
        containers.push(json!({ "name": "sidecar", "image": "sidecar" }));
    });
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    assert_eq!(api.get(&deployment).expect("the Deployment")["spec"], edited["spec"]);
}

#[tokio::test]
async fn generated_key_stays_until_the_algorithm_changes() {
    let api = applied().await;
    let jwt = ("secrets", "vault-jwt");
    let first = content(&api, jwt);
    for _ in 0..3 {
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    }
    assert_eq!(content(&api, jwt), first);
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["auth"]["generate"]["algorithm"] = json!("RS256"));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    let next = content(&api, jwt);
    assert_eq!(next["data"]["private.pem"], first["data"]["private.pem"], "it signs until the pods have the next one");
    assert!(next["data"]["next-private.pem"].is_string(), "the next one is generated at once");
}

#[tokio::test]
async fn invalid_private_key_is_replaced_and_valid_one_kept() {
    let api = applied().await;
    let jwt = key("secrets", "vault-jwt");
    api.edit(&jwt, |it| it["data"]["private.pem"] = json!("aGVsbG8="));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    assert_ne!(api.get(&jwt).expect("the Secret")["data"]["private.pem"], "aGVsbG8=");

    let given = secret("vault-jwt", &[("private.pem", P256_PRIVATE)])["data"]["private.pem"].clone();
    api.edit(&jwt, |it| it["data"]["private.pem"] = given.clone());
    let before = api.get(&jwt).expect("the Secret")["data"]["jwks.json"].clone();
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    let after = api.get(&jwt).expect("the Secret")["data"].clone();
    assert_eq!(after["private.pem"], given);
    assert_ne!(after["jwks.json"], before, "the public half is updated");
}

#[tokio::test]
async fn changed_spec_rolls_out_and_removed_fields_are_reverted() {
    let api = applied().await;
    let template = |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"].clone();
    let before = template(&api);
    api.edit(&key(HUBS, "vault"), |hub| {
        hub["spec"]["installationID"] = json!("6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1");
        hub["spec"]["podTemplate"] = json!({ "spec": { "priorityClassName": "high" } });
    });
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    let checksum = "/metadata/annotations/notificationhub.rs~1config-checksum";
    assert_ne!(template(&api).pointer(checksum), before.pointer(checksum));
    assert_eq!(template(&api)["spec"]["priorityClassName"], "high");

    api.edit(&key(HUBS, "vault"), |hub| {
        let spec = hub["spec"].as_object_mut().expect("a spec");
        spec.retain(|field, _| !["installationID", "podTemplate"].contains(&field.as_str()));
    });
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    assert_eq!(template(&api), before);
}
