//! Rotation of the generated keys, and recovery of damaged Secrets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::controller::Action;
use notification_hub_operator::clock::Clock;
use notification_hub_operator::context::Context;
use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    HUBS, complete_rollout, condition, context, hub, key, message, minimal_spec, reconcile_once,
};

/// Creation time of objects of the API server in memory: 2026-01-01.
const CREATED: i64 = 1_767_225_600;
const HOUR: i64 = 3600;
const ROTATION_DUE: i64 = CREATED + 720 * HOUR;

/// An API server, and the clock of the operators.
struct RotationTest {
    api: FakeApi,
    now: Arc<AtomicI64>,
}

impl RotationTest {
    /// Creates a ready hub with these token settings.
    async fn with(auth: Value) -> RotationTest {
        let test = RotationTest { api: FakeApi::new(), now: Arc::new(AtomicI64::new(CREATED)) };
        let mut spec = minimal_spec();
        spec["auth"] = auth;
        test.api.create(hub("vault", spec));
        test.reconcile_once().await;
        complete_rollout(&test.api, "vault");
        test.reconcile_once().await;
        test
    }

    /// Creates a hub with the defaults, except for the algorithm whose keys are generated quickly.
    async fn new() -> RotationTest {
        RotationTest::with(json!({ "generate": { "algorithm": "ES256" } })).await
    }

    /// Returns the context of an operator that has just started.
    fn operator_context(&self) -> Arc<Context> {
        let now = self.now.clone();
        let read = move || Timestamp::from_second(now.load(Ordering::Relaxed)).expect("a time");
        let mut context = Arc::into_inner(context(&self.api)).expect("the only reference");
        context.clock = Clock::new(read);
        Arc::new(context)
    }

    async fn reconcile_once(&self) -> Action {
        reconcile_once(&self.api, &self.operator_context(), "vault").await.expect("a reconcile")
    }

    async fn reconcile_at(&self, now: i64) -> Action {
        self.now.store(now, Ordering::Relaxed);
        self.reconcile_once().await
    }

    /// Returns an entry of the Secret, or `None` if it is missing.
    fn entry(&self, name: &str) -> Option<String> {
        let secret = self.api.get(&key("secrets", "vault-jwt")).expect("the Secret");
        let text = secret["data"][name].as_str()?;
        Some(String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text"))
    }

    /// Edits the entries of the Secret.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        self.api.edit(&key("secrets", "vault-jwt"), |secret| edit(&mut secret["data"]));
    }

    /// Returns the IDs of the keys that hubs accept.
    fn valid_key_ids(&self) -> Vec<String> {
        let jwks: Value = serde_json::from_str(&self.entry("jwks.json").expect("keys")).expect("JSON");
        let ids =
            jwks["keys"].as_array().expect("keys").iter().map(|jwk| jwk["kid"].as_str().expect("an id").to_owned());
        ids.collect()
    }

    /// Returns the rotation times of the status.
    fn times(&self) -> Value {
        self.api.get(&key(HUBS, "vault")).expect("the hub")["status"]["keys"].clone()
    }
}

#[tokio::test]
async fn rotated_key_is_published_then_signs_then_is_removed() {
    let test = RotationTest::new().await;
    let [first] = <[String; 1]>::try_from(test.valid_key_ids()).expect("one key");
    assert_eq!(
        test.times(),
        json!({ "lastRotationTime": "2026-01-01T00:00:00Z", "nextRotationTime": "2026-01-31T00:00:00Z" })
    );
    let private = test.entry("private.pem");
    let deployment = test.api.get(&key("apps/deployments", "vault"));

    test.reconcile_at(ROTATION_DUE - 181).await;
    assert_eq!((test.valid_key_ids().len(), test.entry("next-private.pem")), (1, None));

    test.reconcile_at(ROTATION_DUE - 180).await;
    let [first_published, second] = <[String; 2]>::try_from(test.valid_key_ids()).expect("two keys");
    assert_eq!((&first_published, test.entry("private.pem")), (&first, private), "the first key signs");
    let next = test.entry("next-private.pem").expect("the next key");
    test.reconcile_at(ROTATION_DUE - 1).await;
    assert_eq!(test.entry("next-private.pem").as_ref(), Some(&next));

    test.reconcile_at(ROTATION_DUE).await;
    assert_eq!((test.entry("private.pem"), test.entry("next-private.pem")), (Some(next), None));
    assert_eq!(test.valid_key_ids(), [second.clone(), first]);
    assert_eq!(
        test.times(),
        json!({ "lastRotationTime": "2026-01-31T00:00:00Z", "nextRotationTime": "2026-03-02T00:00:00Z" })
    );

    test.reconcile_at(ROTATION_DUE + 24 * HOUR - 1).await;
    assert_eq!(test.valid_key_ids().len(), 2);
    test.reconcile_at(ROTATION_DUE + 24 * HOUR).await;
    assert_eq!(test.valid_key_ids(), [second]);
    assert_eq!(test.api.get(&key("apps/deployments", "vault")), deployment, "no pod was replaced");
}

#[tokio::test]
async fn reconcile_is_requeued_for_rotation_steps_without_other_writes() {
    let test = RotationTest::new().await;
    let seconds = |seconds| Action::requeue(Duration::from_secs(seconds));
    for (at, wait) in [
        (CREATED, 600),
        (ROTATION_DUE - 700, 520),
        (ROTATION_DUE - 180, 180),
        (ROTATION_DUE - 30, 30),
        (ROTATION_DUE, 600),
    ] {
        assert_eq!(test.reconcile_at(at).await, seconds(wait), "{}", at - ROTATION_DUE);
        let version = test.api.version();
        assert_eq!(test.reconcile_at(at).await, seconds(wait));
        assert_eq!(test.api.changes_since(version), [""; 0]);
    }
}

#[tokio::test]
async fn status_keys_are_removed_with_generated_keys() {
    let test = RotationTest::new().await;
    test.api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["auth"] = json!({ "authority": "http://identity:5000" }));
    test.reconcile_once().await;
    assert_eq!(test.times(), Value::Null);
}

#[tokio::test]
async fn changed_algorithm_rotates_the_key() {
    let test = RotationTest::new().await;
    let first = test.valid_key_ids();
    test.api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["auth"]["generate"]["algorithm"] = json!("RS256"));
    test.reconcile_at(CREATED + 60).await;
    assert_eq!(test.valid_key_ids().len(), 2);
    let next = test.entry("next-private.pem");
    assert!(next.is_some());
    test.reconcile_at(CREATED + 240).await;
    assert_eq!(test.entry("private.pem"), next);
    assert_eq!(test.valid_key_ids()[1..], first, "its tokens are still accepted");
}

#[tokio::test]
async fn damaged_key_secret_is_rebuilt_from_its_intact_entries() {
    type Edit = (&'static str, fn(&mut Value));
    // During a rotation, with a previous key that is still accepted.
    let test = async || {
        let test = RotationTest::with(json!({ "generate": { "algorithm": "ES256", "rotationInterval": "30h" } })).await;
        for at in [30 * HOUR - 180, 30 * HOUR, 54 * HOUR - 60] {
            test.reconcile_at(CREATED + at).await;
        }
        // The overlap is extended by an edit. Otherwise it would end before the next rotation.
        test.edit(|data| {
            let text = STANDARD.decode(data["rotation.json"].as_str().expect("it")).expect("base64");
            let mut record: Value = serde_json::from_slice(&text).expect("JSON");
            record["previous"][0]["until"] = json!("2026-01-04T00:00:00Z");
            data["rotation.json"] = json!(STANDARD.encode(record.to_string()));
        });
        test.reconcile_at(CREATED + 60 * HOUR - 100).await;
        assert_eq!(test.valid_key_ids().len(), 3);
        test
    };
    let kept: [Edit; 4] = [
        ("no public keys", |data| data["jwks.json"] = json!(STANDARD.encode("{}"))),
        ("no public entry", |data| _ = data.as_object_mut().expect("entries").remove("jwks.json")),
        ("an unknown key", |data| data["jwks.json"] = json!(STANDARD.encode(r#"{"keys":[{"kty":"EC","kid":"x"}]}"#))),
        ("no record", |data| _ = data.as_object_mut().expect("entries").remove("rotation.json")),
    ];
    for (what, edit) in kept {
        let test = test().await;
        let (valid, private) = (test.valid_key_ids(), test.entry("private.pem"));
        test.edit(edit);
        test.reconcile_once().await;
        let (mut before, mut after) = (valid, test.valid_key_ids());
        before.sort();
        after.sort();
        assert_eq!((after, test.entry("private.pem")), (before, private), "{what}");
    }

    let test = test().await;
    let (valid, next) = (test.valid_key_ids(), test.entry("next-private.pem"));
    test.edit(|data| data["private.pem"] = json!(STANDARD.encode("hello")));
    test.reconcile_once().await;
    assert_eq!(test.entry("private.pem"), next, "the next key, whose public half is already published");
    assert!(valid.iter().all(|id| test.valid_key_ids().contains(id)), "every token is still accepted");
}

#[tokio::test]
async fn invalid_next_key_is_regenerated_and_published_before_signing() {
    let test = RotationTest::new().await;
    test.reconcile_at(ROTATION_DUE - 180).await;
    let broken = test.entry("next-private.pem");
    test.edit(|data| data["next-private.pem"] = json!(STANDARD.encode("hello")));
    test.reconcile_at(ROTATION_DUE - 10).await;
    let next = test.entry("next-private.pem");
    assert_ne!((&next, next.as_deref()), (&broken, Some("hello")));
    test.reconcile_at(ROTATION_DUE + 169).await;
    assert_eq!(test.entry("next-private.pem"), next, "the pods may not have the public half yet");
    test.reconcile_at(ROTATION_DUE + 170).await;
    assert_eq!(test.entry("private.pem"), next);
}

#[tokio::test]
async fn replaced_private_key_keeps_the_previous_key_valid() {
    let test = RotationTest::new().await;
    let before = test.valid_key_ids();
    let own = include_str!("keys/p256-private.pem");
    test.edit(|data| data["private.pem"] = json!(STANDARD.encode(own)));
    test.reconcile_at(CREATED + 700 * HOUR).await;
    assert_eq!(test.entry("private.pem").as_deref(), Some(own));
    assert_eq!(test.valid_key_ids()[1..], before);
    assert_eq!(test.times()["lastRotationTime"], "2026-01-30T04:00:00Z");
}

#[tokio::test]
async fn deleted_key_secret_invalidates_every_token() {
    let test = RotationTest::new().await;
    let before = test.valid_key_ids();
    test.reconcile_at(ROTATION_DUE - 180).await;
    test.api.delete(&key("secrets", "vault-jwt"));
    test.reconcile_once().await;
    assert_eq!(test.valid_key_ids().len(), 1);
    assert!(!test.valid_key_ids().contains(&before[0]));
    assert_eq!(test.entry("next-private.pem"), None);
}

#[tokio::test]
async fn key_secret_without_rotation_record_keeps_its_keys() {
    let test = RotationTest::new().await;
    let valid = test.valid_key_ids();
    test.edit(|data| _ = data.as_object_mut().expect("entries").remove("rotation.json"));
    test.reconcile_at(CREATED + 100 * HOUR).await;
    assert_eq!(test.valid_key_ids(), valid);
    assert_eq!(test.times()["lastRotationTime"], "2026-01-01T00:00:00Z", "it is as old as the Secret");
}

#[tokio::test]
async fn rotation_interval_invalid_or_too_short_is_rejected() {
    let table = [
        (json!({ "rotationInterval": "24h" }), "auth.generate.rotationInterval: not longer than overlap"),
        (
            json!({ "rotationInterval": "1h", "overlap": "57m" }),
            "auth.generate.rotationInterval: not longer than overlap",
        ),
        (json!({ "overlap": "x" }), "auth.generate.overlap: not a duration"),
        (json!({ "rotationInterval": "30d" }), "auth.generate.rotationInterval: not a duration"),
    ];
    for (generate, expected) in table {
        let api = FakeApi::new();
        let mut spec = minimal_spec();
        spec["auth"]["generate"] = generate;
        api.create(hub("vault", spec));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "InvalidSpec".into()), "{expected}");
        assert!(message(&api, "vault", "SpecValid").contains(expected), "{}", message(&api, "vault", "SpecValid"));
        assert!(api.get(&key("secrets", "vault-jwt")).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn rotation_steps_survive_a_fault_of_every_call() {
    for at in [ROTATION_DUE - 180, ROTATION_DUE, ROTATION_DUE + 24 * HOUR] {
        let prepared = async || {
            let test = RotationTest::new().await;
            for earlier in [ROTATION_DUE - 180, ROTATION_DUE].into_iter().filter(|earlier| *earlier < at) {
                test.reconcile_at(earlier).await;
            }
            test.now.store(at, Ordering::Relaxed);
            test.api.take_calls();
            test
        };
        let calls = {
            let test = prepared().await;
            test.reconcile_once().await;
            test.api.take_calls()
        };
        for fault in [Fault::Refused(409), Fault::Refused(500), Fault::Hangs, Fault::AnswerLost] {
            for (index, call) in calls.iter().enumerate() {
                let test = prepared().await;
                let before = test.valid_key_ids();
                test.api.inject(index, fault);
                let result = reconcile_once(&test.api, &test.operator_context(), "vault").await;
                assert!(result.is_err() || call.contains("events"), "{fault:?} at {call}");
                let between = test.valid_key_ids();
                test.reconcile_once().await;
                let valid = test.valid_key_ids();
                assert_eq!(valid.len(), if at > ROTATION_DUE { 1 } else { 2 }, "{fault:?} at {call}");
                let kept = before.iter().filter(|id| valid.contains(id)).count();
                assert_eq!(kept, before.len().min(valid.len()), "{fault:?} at {call}: {before:?} became {valid:?}");
                // Every key that was published in between is still accepted.
                assert!(at > ROTATION_DUE || between.iter().all(|id| valid.contains(id)), "{fault:?} at {call}");
            }
        }
    }
}
