//! Hubs with a backplane: children for several replicas, scaling, and the connection token key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    HUBS, REDIS_URL, condition, hub, key, message, minimal_spec, reconcile_until_ready, reconcile_vault, secret,
    with_redis,
};

const BUDGET: (&str, &str) = ("policy/poddisruptionbudgets", "vault");

/// Returns an API server with a ready hub of this number of replicas.
async fn ready_hub(replicas: i32) -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    api.create(hub("vault", with_redis("redis", replicas)));
    reconcile_until_ready(&api).await;
    api
}

fn deployment(api: &FakeApi) -> Value {
    api.get(&key("apps/deployments", "vault")).expect("a Deployment")
}

fn token_key(api: &FakeApi) -> Vec<u8> {
    let secret = api.get(&key("secrets", "vault-tokens")).expect("a Secret");
    STANDARD.decode(secret["data"]["connection-token.key"].as_str().expect("an entry")).expect("Base64")
}

#[tokio::test]
async fn scaling_changes_replicas_without_a_rollout() {
    let api = ready_hub(1).await;
    let (template, made) = (deployment(&api)["spec"]["template"].clone(), token_key(&api));
    for replicas in [4, 2, 1, 0, 3] {
        api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["replicas"] = json!(replicas));
        reconcile_until_ready(&api).await;
        let spec = deployment(&api)["spec"].clone();
        assert_eq!((&spec["replicas"], &spec["template"]), (&json!(replicas), &template));
        assert_eq!(token_key(&api), made);
        assert_eq!(api.get(&key(BUDGET.0, BUDGET.1)).is_some(), replicas > 1, "{replicas} replicas");
        assert_eq!(condition(&api, "vault", "Ready").0, "True");
        let version = api.version();
        reconcile_vault(&api).await;
        assert_eq!(api.changes_since(version), [""; 0], "{replicas} replicas");
    }
}

#[tokio::test]
async fn removed_backplane_deletes_its_objects() {
    let api = ready_hub(3).await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = minimal_spec());
    reconcile_until_ready(&api).await;
    assert!(api.get(&key(BUDGET.0, BUDGET.1)).is_none());
    assert!(api.get(&key("secrets", "vault-tokens")).is_none());
    let spec = deployment(&api)["spec"].clone();
    assert_eq!(spec["strategy"]["rollingUpdate"], json!({ "maxSurge": 1, "maxUnavailable": 0 }));
    assert!(!spec.to_string().contains("tokens"), "{spec:#}");
    assert_eq!(spec["template"]["spec"].get("topologySpreadConstraints"), None);
}

#[tokio::test]
async fn edited_or_deleted_disruption_budget_is_restored() {
    let api = ready_hub(2).await;
    let budget = key(BUDGET.0, BUDGET.1);
    let spec = api.get(&budget).expect("a budget")["spec"].clone();
    api.edit(&budget, |it| it["spec"]["maxUnavailable"] = json!("100%"));
    reconcile_vault(&api).await;
    assert_eq!(api.get(&budget).expect("it")["spec"], spec);
    api.delete(&budget);
    reconcile_vault(&api).await;
    assert_eq!(api.get(&budget).expect("it")["spec"], spec);
}

#[tokio::test]
async fn damaged_connection_token_key_is_regenerated_with_one_rollout() {
    let api = ready_hub(2).await;
    let (made, secret) = (token_key(&api), key("secrets", "vault-tokens"));
    assert_eq!(made.len(), 32);
    type Damage = fn(&mut Value);
    let damages: [(&str, Damage); 3] = [
        ("a short key", |it| it["data"]["connection-token.key"] = json!("c2hvcnQ=")),
        ("no entries", |it| it["data"] = json!({})),
        ("an empty key", |it| it["data"]["connection-token.key"] = json!("")),
    ];
    for (what, damage) in damages {
        let (before, generation) = (token_key(&api), deployment(&api)["metadata"]["generation"].as_i64());
        api.edit(&secret, damage);
        reconcile_until_ready(&api).await;
        assert_ne!(token_key(&api), before, "{what}");
        assert_eq!(token_key(&api).len(), 32, "{what}");
        let expected = generation.map(|generation| generation + 1);
        assert_eq!(deployment(&api)["metadata"]["generation"].as_i64(), expected, "{what}: one rollout");
    }
    let kept = token_key(&api);
    api.edit(&secret, |it| it["data"]["mine"] = json!("bWluZQ=="));
    reconcile_until_ready(&api).await;
    assert_eq!(token_key(&api), kept);
}

#[tokio::test]
async fn unowned_connection_token_secret_is_a_conflict() {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    let unowned = api.create(secret("vault-tokens", &[("connection-token.key", &"x".repeat(32))]));
    api.create(hub("vault", with_redis("redis", 2)));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Conflict".into()));
    assert!(message(&api, "vault", "Ready").contains("Secret vault-tokens"));
    assert_eq!(api.get(&key("secrets", "vault-tokens")), Some(unowned));
    assert!(api.get(&key("apps/deployments", "vault")).is_none());
}

#[tokio::test]
async fn missing_backplane_is_reported_without_crd_validation() {
    type Edit = fn(&mut Value);
    let table: [(Edit, &str); 5] = [
        (|spec| spec["replicas"] = json!(2), "replicas: 2 pods require a backplane; set backplane"),
        (|spec| spec["replicas"] = json!(-1), "replicas: -1 is negative; give 0 or more"),
        (
            |spec| spec["drain"] = json!({ "duration": "1m" }),
            "drain: requires a backplane; set backplane or remove drain",
        ),
        (|spec| spec["rollout"] = json!({}), "rollout: requires a backplane; set backplane or remove rollout"),
        (
            |spec| {
                *spec = with_redis("redis", 2);
                spec["drain"] = json!({ "duration": "soon" });
            },
            "drain.duration: not a duration; give one such as 90s",
        ),
    ];
    for (edit, expected_message) in table {
        let api = FakeApi::new();
        api.create(secret("redis", &[("url", REDIS_URL)]));
        let mut spec = minimal_spec();
        edit(&mut spec);
        api.create(hub("vault", spec));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "InvalidSpec".into()), "{expected_message}");
        assert_eq!(message(&api, "vault", "Ready"), expected_message);
    }
}
