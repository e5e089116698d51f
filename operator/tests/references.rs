//! Objects that a spec refers to: missing, invalid and repaired.

use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CERTIFICATE, CONNECTION_STRING, HUBS, P256_PUBLIC, REDIS_PASSWORD, REDIS_URL, complete_rollout, condition, hub,
    key, message, reconcile_vault, secret, with_queue, with_redis, with_signing_keys,
};

const SECRET_TEXT: &str = "correct-horse-battery-staple-0123456789";

#[tokio::test]
async fn missing_keys_secret_is_reported_until_it_exists() {
    let api = FakeApi::new();
    api.create(hub("vault", with_signing_keys("keys")));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("False".into(), "SecretNotFound".into()));
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "ReferencesMissing".into()));
    assert_eq!(message(&api, "vault", "Ready"), "auth.signingKeys: Secret keys does not exist");
    assert!(api.get(&key("apps/deployments", "vault")).is_none(), "no pod without its Secret");

    api.create(secret("keys", &[("a.pem", P256_PUBLIC)]));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("True".into(), "Resolved".into()));
    assert!(api.get(&key("apps/deployments", "vault")).is_some());
    assert!(api.get(&key("secrets", "vault-jwt")).is_none(), "the spec does not request generated keys");
}

#[tokio::test]
async fn invalid_key_entry_is_named_without_its_content() {
    let table: [(&[(&str, &str)], &str); 7] = [
        (&[("readme", SECRET_TEXT)], "Secret keys has no key"),
        (&[("a.pem", SECRET_TEXT)], "entry a.pem: not a PEM"),
        (&[("a.pem", P256_PUBLIC), ("b.pem", SECRET_TEXT)], "entry b.pem: not a PEM"),
        (&[("a.jwks.json", SECRET_TEXT)], "entry a.jwks.json: not a JWK set"),
        (&[("a.jwks.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"correct-horse-battery-staple\"}]}")], "no key for"),
        (&[("a.secret", "correct-horse")], "entry a.secret: a secret of 13 bytes"),
        (&[("a.pem", include_str!("keys/p384-public.pem"))], "entry a.pem: not a PEM of an RSA or P-256 key"),
    ];
    for (entries, text_part) in table {
        let api = FakeApi::new();
        api.create(hub("vault", with_signing_keys("keys")));
        api.create(secret("keys", entries));
        reconcile_vault(&api).await;
        assert_eq!(
            condition(&api, "vault", "ReferencesResolved"),
            ("False".into(), "InvalidKey".into()),
            "{text_part}"
        );
        let message = message(&api, "vault", "ReferencesResolved");
        assert!(message.contains(text_part), "{text_part} in {message}");
        let objects: Vec<Value> = api.all(HUBS).into_iter().chain(api.all("events.k8s.io/events")).collect();
        assert!(
            !objects.iter().any(|object| object.to_string().contains("correct-horse")),
            "a secret is quoted: {objects:#?}"
        );

        api.edit(&key("secrets", "keys"), |it| *it = secret("keys", &[("a.secret", SECRET_TEXT)]));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("True".into(), "Resolved".into()), "{text_part}");
    }
}

#[tokio::test]
async fn invalid_key_entries_are_all_reported_at_once() {
    let api = FakeApi::new();
    api.create(hub("vault", with_signing_keys("keys")));
    api.create(secret("keys", &[("a.pem", "x"), ("b.secret", "y")]));
    reconcile_vault(&api).await;
    let message = message(&api, "vault", "ReferencesResolved");
    assert!(message.contains("a.pem") && message.contains("b.secret"), "{message}");
}

#[tokio::test]
async fn deleted_keys_secret_keeps_the_running_hub() {
    let api = FakeApi::new();
    api.create(hub("vault", with_signing_keys("keys")));
    api.create(secret("keys", &[("a.pem", P256_PUBLIC)]));
    reconcile_vault(&api).await;
    complete_rollout(&api, "vault");
    api.delete(&key("secrets", "keys"));
    let before = api.get(&key("apps/deployments", "vault"));
    reconcile_vault(&api).await;
    assert_eq!(api.get(&key("apps/deployments", "vault")), before);
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "ReferencesMissing".into()));
    assert_eq!(condition(&api, "vault", "Available"), ("True".into(), "Available".into()));
}

#[tokio::test]
async fn edited_keys_secret_causes_no_rollout() {
    let api = FakeApi::new();
    api.create(hub("vault", with_signing_keys("keys")));
    api.create(secret("keys", &[("a.pem", P256_PUBLIC)]));
    reconcile_vault(&api).await;
    api.edit(&key("secrets", "keys"), |it| *it = secret("keys", &[("b.secret", SECRET_TEXT)]));
    let version = api.version();
    reconcile_vault(&api).await;
    assert_eq!(api.changes_since(version), [""; 0], "the hub reloads it in place");
}

#[tokio::test]
async fn missing_connection_string_is_reported_by_secret_and_entry() {
    let api = FakeApi::new();
    api.create(hub("vault", with_queue("storage")));
    let assert_reported = |reason: &str, text_part: &str| {
        assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("False".into(), reason.into()), "{text_part}");
        assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "ReferencesMissing".into()), "{text_part}");
        assert_eq!(
            message(&api, "vault", "Ready"),
            format!("source.azureQueue.connectionString: Secret storage{text_part}")
        );
        assert!(api.get(&key("apps/deployments", "vault")).is_none(), "no pod without its Secret");
    };
    reconcile_vault(&api).await;
    assert_reported("SecretNotFound", " does not exist");
    api.create(secret("storage", &[("other", CONNECTION_STRING)]));
    reconcile_vault(&api).await;
    assert_reported("SecretEntryMissing", " has no entry url");
    for nothing in ["", " \n"] {
        api.edit(&key("secrets", "storage"), |it| *it = secret("storage", &[("url", nothing)]));
        reconcile_vault(&api).await;
        assert_reported("SecretEntryMissing", ", entry url: empty");
    }

    api.edit(&key("secrets", "storage"), |it| *it = secret("storage", &[("url", CONNECTION_STRING)]));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("True".into(), "Resolved".into()));
    let deployment = api.get(&key("apps/deployments", "vault")).expect("a Deployment");
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let reference = json!({ "secretKeyRef": { "name": "storage", "key": "url" } });
    let expected =
        json!([{ "name": "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING", "valueFrom": reference }]);
    assert_eq!(*env, expected);
    let resources = ["services", "configmaps", "serviceaccounts", "apps/deployments", HUBS, "events.k8s.io/events"];
    let objects: Vec<Value> = resources.into_iter().flat_map(|resource| api.all(resource)).collect();
    assert!(
        !objects.iter().any(|object| object.to_string().contains("AccountKey")),
        "a secret is quoted: {objects:#?}"
    );
}

#[tokio::test]
async fn edited_connection_string_causes_exactly_one_rollout() {
    let api = FakeApi::new();
    api.create(hub("vault", with_queue("storage")));
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    reconcile_vault(&api).await;
    let template = |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"].clone();
    let generation =
        |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["metadata"]["generation"].clone();
    let first = template(&api);
    assert_eq!(generation(&api), 1);

    api.edit(&key("secrets", "storage"), |it| *it = secret("storage", &[("url", CONNECTION_STRING), ("other", "x")]));
    reconcile_vault(&api).await;
    assert_eq!(generation(&api), 1, "an entry that the spec does not refer to");

    let rotated = CONNECTION_STRING.replace("Y29y", "Y29z");
    api.edit(&key("secrets", "storage"), |it| *it = secret("storage", &[("url", &rotated)]));
    for _ in 0..2 {
        reconcile_vault(&api).await;
        assert_eq!(generation(&api), 2, "exactly one");
    }
    let mut second = template(&api);
    let checksum = "notificationhub.rs/config-checksum";
    assert_ne!(second["metadata"]["annotations"][checksum], first["metadata"]["annotations"][checksum]);
    second["metadata"]["annotations"][checksum] = first["metadata"]["annotations"][checksum].clone();
    assert_eq!(second, first, "nothing else");
}

#[tokio::test]
async fn deleted_connection_string_keeps_the_running_hub() {
    let api = FakeApi::new();
    api.create(hub("vault", with_queue("storage")));
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    reconcile_vault(&api).await;
    complete_rollout(&api, "vault");
    let before = api.get(&key("apps/deployments", "vault"));
    api.delete(&key("secrets", "storage"));
    reconcile_vault(&api).await;
    assert_eq!(api.get(&key("apps/deployments", "vault")), before);
    assert_eq!(condition(&api, "vault", "Ready"), ("False".into(), "ReferencesMissing".into()));
    assert_eq!(condition(&api, "vault", "Available"), ("True".into(), "Available".into()));
}

#[tokio::test]
async fn log_level_edit_causes_no_rollout_and_format_one() {
    let api = FakeApi::new();
    let mut spec = with_redis("redis", 1);
    spec["backplane"] = Value::Null;
    api.create(hub("vault", spec));
    let table = [
        (Value::Null, "info", 1),
        (json!({ "level": "debug" }), "debug", 1),
        (json!({ "level": "warn,notification_hub=trace" }), "warn,notification_hub=trace", 1),
        (json!({ "format": "text" }), "info", 2),
    ];
    for (log, level, generation) in table {
        api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["log"] = log.clone());
        reconcile_vault(&api).await;
        let config = api.get(&key("configmaps", "vault")).expect("a ConfigMap");
        let deployment = api.get(&key("apps/deployments", "vault")).expect("a Deployment");
        assert_eq!(
            (&config["data"]["log-level"], &deployment["metadata"]["generation"]),
            (&json!(level), &json!(generation))
        );
    }
}

/// Returns a spec whose settings of Redis all refer to one Secret.
fn with_redis_secret_values() -> Value {
    let mut spec = with_redis("redis", 2);
    for (field, entry) in [("password", "password"), ("ca", "ca.crt")] {
        spec["backplane"]["redis"][field] = json!({ "secretKeyRef": { "name": "redis", "key": entry } });
    }
    spec
}

#[tokio::test]
async fn invalid_redis_references_are_all_reported_without_secrets() {
    let api = FakeApi::new();
    api.create(hub("vault", with_redis_secret_values()));
    reconcile_vault(&api).await;
    assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("False".into(), "SecretNotFound".into()));
    let shown = message(&api, "vault", "Ready");
    for field in ["url", "password", "ca"] {
        assert!(shown.contains(&format!("backplane.redis.{field}: Secret redis does not exist")), "{shown}");
    }
    assert!(api.get(&key("apps/deployments", "vault")).is_none(), "no pod without its Secret");

    let invalid: [(&str, &str, &str, &str); 4] = [
        ("url", "http://SECRET", "SecretEntryInvalid", "backplane.redis.url: Secret redis, entry url: not a redis://"),
        ("url", " ", "SecretEntryMissing", "backplane.redis.url: Secret redis, entry url: empty"),
        ("password", "", "SecretEntryMissing", "backplane.redis.password: Secret redis, entry password: empty"),
        ("ca.crt", "SECRET", "SecretEntryInvalid", "backplane.redis.ca: Secret redis, entry ca.crt: not a certificate"),
    ];
    let good = [("url", REDIS_URL), ("password", REDIS_PASSWORD), ("ca.crt", CERTIFICATE)];
    api.create(secret("redis", &good));
    for (entry, text, reason, expected) in invalid {
        let entries = good.map(|(name, right)| (name, if name == entry { text } else { right }));
        api.edit(&key("secrets", "redis"), |it| *it = secret("redis", &entries));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("False".into(), reason.into()), "{expected}");
        let shown = message(&api, "vault", "Ready");
        assert!(shown.starts_with(expected) && !shown.contains("SECRET"), "{shown}");
    }

    for url in [REDIS_URL, "redis://redis", "redis:6379,password=a://b", "redis\n"] {
        let entries = good.map(|(name, right)| (name, if name == "url" { url } else { right }));
        api.edit(&key("secrets", "redis"), |it| *it = secret("redis", &entries));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "ReferencesResolved"), ("True".into(), "Resolved".into()), "{url}");
    }
    let resources = ["services", "configmaps", "serviceaccounts", "apps/deployments", HUBS, "events.k8s.io/events"];
    let objects: Vec<Value> = resources.into_iter().flat_map(|resource| api.all(resource)).collect();
    let out = |object: &Value| [REDIS_URL, REDIS_PASSWORD].iter().any(|secret| object.to_string().contains(secret));
    assert!(!objects.iter().any(out), "a secret is quoted: {objects:#?}");
}

#[tokio::test]
async fn edited_redis_secret_rolls_out_except_for_ca() {
    let api = FakeApi::new();
    api.create(hub("vault", with_redis_secret_values()));
    api.create(secret("redis", &[]));
    let generation =
        |api: &FakeApi| api.get(&key("apps/deployments", "vault")).expect("it")["metadata"]["generation"].clone();
    let other = CERTIFICATE.repeat(2);
    let table = [
        ((REDIS_URL, REDIS_PASSWORD, CERTIFICATE), 1),
        ((REDIS_URL, REDIS_PASSWORD, other.as_str()), 1),
        ((REDIS_URL, "correct-horse", other.as_str()), 2),
        (("rediss://elsewhere", "correct-horse", other.as_str()), 3),
    ];
    for ((url, password, ca), expected) in table {
        let entries = [("url", url), ("password", password), ("ca.crt", ca), ("other", url)];
        api.edit(&key("secrets", "redis"), |it| *it = secret("redis", &entries));
        for _ in 0..2 {
            reconcile_vault(&api).await;
            assert_eq!(generation(&api), expected, "{entries:?}");
        }
    }
}
