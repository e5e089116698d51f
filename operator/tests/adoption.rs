//! Adoption of Secrets from a backup, which no hub controls.

use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    HUBS, P256_PRIVATE, REDIS_URL, condition, hub, key, message, minimal_spec, reconcile_until_ready, reconcile_vault,
    secret, with_redis,
};

fn restored(api: &FakeApi, name: &str, entries: &[(&str, &str)], annotations: Value) -> Value {
    let mut it = secret(name, entries);
    it["metadata"]["annotations"] = annotations;
    api.create(it)
}

#[tokio::test]
async fn restored_signing_key_with_adopt_annotation_is_adopted() {
    let api = FakeApi::new();
    let restored = restored(&api, "vault-jwt", &[("private.pem", P256_PRIVATE)], json!({}));
    api.create(hub("vault", minimal_spec()));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Conflict".into()));
    assert!(
        message(&api, "vault", "Ready").contains("notificationhub.rs/adopt"),
        "{}",
        message(&api, "vault", "Ready")
    );
    assert_eq!(api.get(&key("secrets", "vault-jwt")).as_ref(), Some(&restored), "not adopted without the annotation");

    let offered = json!({ "notificationhub.rs/adopt": "true" });
    api.edit(&key("secrets", "vault-jwt"), |it| it["metadata"]["annotations"] = offered);
    reconcile_until_ready(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
    let adopted = api.get(&key("secrets", "vault-jwt")).expect("the Secret");
    assert_eq!(adopted["data"]["private.pem"], restored["data"]["private.pem"], "tokens stay valid");
    assert!(adopted["data"]["jwks.json"].is_string());
    let uid = api.get(&key(HUBS, "vault")).expect("the hub")["metadata"]["uid"].clone();
    let owner = &adopted["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["uid"], &owner["controller"]), (&uid, &json!(true)), "the hub controls it");
    let version = api.version();
    reconcile_vault(&api).await;
    assert_eq!(api.changes_since(version), [""; 0]);
}

#[tokio::test]
async fn restored_token_key_is_adopted_unless_controlled_by_another() {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    let content = "x".repeat(32);
    restored(
        &api,
        "vault-tokens",
        &[("connection-token.key", &content)],
        json!({ "notificationhub.rs/adopt": "true" }),
    );
    let controlled = json!([{ "apiVersion": "v1", "kind": "X", "name": "x", "uid": "other", "controller": true }]);
    api.edit(&key("secrets", "vault-tokens"), |it| it["metadata"]["ownerReferences"] = controlled);
    api.create(hub("vault", with_redis("redis", 2)));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "Conflict".into()), "it is controlled by another");

    api.edit(&key("secrets", "vault-tokens"), |it| it["metadata"]["ownerReferences"] = json!([]));
    let before = api.get(&key("secrets", "vault-tokens")).expect("the Secret")["data"].clone();
    reconcile_until_ready(&api).await;
    assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()));
    assert_eq!(api.get(&key("secrets", "vault-tokens")).expect("the Secret")["data"], before);
}
