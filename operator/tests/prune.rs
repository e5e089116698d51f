//! Pruning: deletes children that are not desired any more, and no other objects.

use k8s_openapi::api::core::v1::Service;
use kube::core::PartialObjectMeta;
use notification_hub_operator::cluster::Cluster;
use notification_hub_operator::leader::Leadership;
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, complete_rollout, condition, hub, key, minimal_spec, reconcile_until_ready,
    reconcile_vault, secret, with_queue,
};

/// Children that a hub with a queue and an authority lacks.
const OTHERS: [(&str, &str); 2] = [("services", "vault-internal"), ("secrets", "vault-jwt")];

/// Returns an API server with a hub with the direct source, and the Secret for a queue.
async fn direct_hub() -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    api.create(hub("vault", minimal_spec()));
    reconcile_until_ready(&api).await;
    api
}

/// Replaces the spec and reconciles until the hub is ready.
async fn change_spec(api: &FakeApi, spec: Value) {
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = spec);
    reconcile_until_ready(api).await;
}

/// Returns which of these children exist.
fn existing(api: &FakeApi, children: &[(&str, &str)]) -> Vec<bool> {
    children.iter().map(|(resource, name)| api.get(&key(resource, name)).is_some()).collect()
}

#[tokio::test]
async fn network_policy_is_created_repaired_and_deleted() {
    let api = direct_hub().await;
    let policy = key("networking.k8s.io/networkpolicies", "vault");
    let guarded = |enabled: bool| {
        let mut spec = minimal_spec();
        spec["networkPolicy"] = json!({ "enabled": enabled });
        spec
    };
    change_spec(&api, guarded(true)).await;
    let rules = api.get(&policy).expect("a policy")["spec"]["ingress"].clone();
    assert_eq!(rules[1]["from"], json!([{ "podSelector": {} }]), "only senders of the namespace");
    api.edit(&policy, |policy| policy["spec"]["ingress"] = json!([]));
    reconcile_vault(&api).await;
    assert_eq!(api.get(&policy).expect("a policy")["spec"]["ingress"], rules, "an edit is reverted");
    change_spec(&api, guarded(false)).await;
    assert!(api.get(&policy).is_none());
}

#[tokio::test]
async fn changed_source_deletes_old_objects_and_is_reversible() {
    let api = direct_hub().await;
    let template = |api: &FakeApi| {
        let mut template = api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"].clone();
        // A port that is added again is the last of the list.
        let ports = template["spec"]["containers"][0]["ports"].as_array_mut().expect("ports");
        ports.sort_by_key(|port| port["containerPort"].as_i64());
        template
    };
    let before = template(&api);
    for _ in 0..2 {
        change_spec(&api, with_queue("storage")).await;
        assert_eq!(existing(&api, &OTHERS), [false, false]);
        let status = api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
        assert_eq!((&status["source"], status.get("sendURL")), (&json!("AzureQueue"), None));
        assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
        assert!(!template(&api).to_string().contains("5001"), "{:#}", template(&api));
        assert!(api.get(&key("secrets", "storage")).is_some(), "the Secret of the user is kept");
        let version = api.version();
        reconcile_vault(&api).await;
        assert_eq!(api.changes_since(version), [""; 0]);

        change_spec(&api, minimal_spec()).await;
        assert!(existing(&api, &CHILDREN).into_iter().all(|exists| exists));
        let status = api.get(&key(HUBS, "vault")).expect("the hub")["status"].clone();
        assert_eq!(status["source"], "Direct");
        assert_eq!(status["sendURL"], "http://vault-internal.bitwarden.svc:5001");
        assert_eq!(template(&api), before);
    }
}

#[tokio::test]
async fn objects_of_the_old_source_stay_until_rollout_completes() {
    let api = direct_hub().await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_queue("storage"));
    for _ in 0..2 {
        reconcile_vault(&api).await;
        assert_eq!(existing(&api, &OTHERS), [true, true], "the old pod still serves");
    }
    complete_rollout(&api, "vault");
    reconcile_vault(&api).await;
    assert_eq!(existing(&api, &OTHERS), [false, false]);
}

#[tokio::test]
async fn changed_source_at_zero_replicas_deletes_old_objects() {
    let api = direct_hub().await;
    let mut spec = with_queue("storage");
    spec["replicas"] = json!(0);
    change_spec(&api, spec).await;
    assert_eq!(existing(&api, &OTHERS), [false, false]);
}

#[tokio::test]
async fn generated_keys_are_deleted_when_no_longer_requested() {
    let api = direct_hub().await;
    let mut spec = minimal_spec();
    spec["auth"] = json!({ "authority": "http://identity:5000" });
    change_spec(&api, spec).await;
    assert_eq!(existing(&api, &OTHERS), [true, false]);
}

#[tokio::test]
async fn pruning_deletes_only_labeled_objects_of_this_hub() {
    let api = direct_hub().await;
    let owner = api.get(&key("services", "vault-internal")).expect("it")["metadata"]["ownerReferences"].clone();
    let labels = api.get(&key("services", "vault-internal")).expect("it")["metadata"]["labels"].clone();
    let changed = |field: &str, value: Value| {
        let mut owner = owner.clone();
        owner[0][field] = value;
        owner
    };
    let service = |name: &str, labels: Value, owner: Value| {
        let metadata = json!({ "name": name, "namespace": "bitwarden", "labels": labels, "ownerReferences": owner });
        api.create(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {} }));
    };
    service("without-owner", labels.clone(), json!([]));
    service("of-another-hub", labels.clone(), changed("uid", json!("other-uid")));
    service("not-controlled", labels.clone(), changed("controller", json!(false)));
    service("without-our-labels", json!({ "app.kubernetes.io/instance": "vault" }), owner.clone());
    service("left-behind", labels, owner.clone());
    reconcile_vault(&api).await;
    let left = ["without-owner", "of-another-hub", "not-controlled", "without-our-labels", "left-behind"];
    let left = left.map(|name| api.get(&key("services", name)).is_some());
    assert_eq!(left, [true, true, true, true, false]);
}

#[tokio::test]
async fn delete_of_a_replaced_object_is_a_conflict() {
    let api = direct_hub().await;
    let old = api.get(&key("services", "vault-internal")).expect("it");
    let old: PartialObjectMeta<Service> = serde_json::from_value(old).expect("metadata");
    let cluster = Cluster::new(api.client(), Leadership::NoElection);

    api.delete(&key("services", "vault-internal"));
    cluster.delete(&old).await.expect("a deleted object is no error");

    let metadata = json!({ "name": "vault-internal", "namespace": "bitwarden" });
    api.create(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {} }));
    let error = cluster.delete(&old).await.expect_err("another uid");
    assert_eq!(error.category(), "conflict");
    assert!(api.get(&key("services", "vault-internal")).is_some());
}
