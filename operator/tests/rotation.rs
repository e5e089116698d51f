//! The generated keys over time: published before they sign, good for a while afterwards, and repaired.

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

/// The fake server's creation time: 2026-01-01.
const START: i64 = 1_767_225_600;
const HOUR: i64 = 3600;
const ENDS: i64 = START + 720 * HOUR;

/// A server, and operators whose clock is ours.
struct World {
    api: FakeApi,
    now: Arc<AtomicI64>,
}

impl World {
    async fn with(auth: Value) -> World {
        let world = World { api: FakeApi::new(), now: Arc::new(AtomicI64::new(START)) };
        let mut spec = minimal_spec();
        spec["auth"] = auth;
        world.api.create(hub("vault", spec));
        world.reconcile_once().await;
        complete_rollout(&world.api, "vault");
        world.reconcile_once().await;
        world
    }

    /// A hub with the defaults, but for the algorithm whose keys are made quickly.
    async fn new() -> World {
        World::with(json!({ "generate": { "algorithm": "ES256" } })).await
    }

    /// An operator that has just been started.
    fn operator(&self) -> Arc<Context> {
        let now = self.now.clone();
        let read = move || Timestamp::from_second(now.load(Ordering::Relaxed)).expect("a time");
        let mut context = Arc::into_inner(context(&self.api)).expect("nobody else has it");
        context.clock = Clock::new(read);
        Arc::new(context)
    }

    async fn reconcile_once(&self) -> Action {
        reconcile_once(&self.api, &self.operator(), "vault").await.expect("a reconcile")
    }

    async fn reconcile_at(&self, now: i64) -> Action {
        self.now.store(now, Ordering::Relaxed);
        self.reconcile_once().await
    }

    fn entry(&self, name: &str) -> Option<String> {
        let secret = self.api.get(&key("secrets", "vault-jwt")).expect("the Secret");
        let text = secret["data"][name].as_str()?;
        Some(String::from_utf8(STANDARD.decode(text).expect("base64")).expect("text"))
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        self.api.edit(&key("secrets", "vault-jwt"), |secret| edit(&mut secret["data"]));
    }

    /// The ids of the keys that hubs accept.
    fn valid(&self) -> Vec<String> {
        let jwks: Value = serde_json::from_str(&self.entry("jwks.json").expect("keys")).expect("JSON");
        let ids =
            jwks["keys"].as_array().expect("keys").iter().map(|jwk| jwk["kid"].as_str().expect("an id").to_owned());
        ids.collect()
    }

    fn times(&self) -> Value {
        self.api.get(&key(HUBS, "vault")).expect("the hub")["status"]["keys"].clone()
    }
}

#[tokio::test]
async fn rotated_key_is_published_then_signs_then_is_removed() {
    let world = World::new().await;
    let [first] = <[String; 1]>::try_from(world.valid()).expect("one key");
    assert_eq!(
        world.times(),
        json!({ "lastRotation": "2026-01-01T00:00:00Z", "nextRotation": "2026-01-31T00:00:00Z" })
    );
    let private = world.entry("private.pem");
    let deployment = world.api.get(&key("apps/deployments", "vault"));

    world.reconcile_at(ENDS - 181).await;
    assert_eq!((world.valid().len(), world.entry("next-private.pem")), (1, None));

    world.reconcile_at(ENDS - 180).await;
    let [still, second] = <[String; 2]>::try_from(world.valid()).expect("two keys");
    assert_eq!((&still, world.entry("private.pem")), (&first, private), "the old one signs");
    let next = world.entry("next-private.pem").expect("the next one");
    world.reconcile_at(ENDS - 1).await;
    assert_eq!(world.entry("next-private.pem").as_ref(), Some(&next));

    world.reconcile_at(ENDS).await;
    assert_eq!((world.entry("private.pem"), world.entry("next-private.pem")), (Some(next), None));
    assert_eq!(world.valid(), [second.clone(), first]);
    assert_eq!(
        world.times(),
        json!({ "lastRotation": "2026-01-31T00:00:00Z", "nextRotation": "2026-03-02T00:00:00Z" })
    );

    world.reconcile_at(ENDS + 24 * HOUR - 1).await;
    assert_eq!(world.valid().len(), 2);
    world.reconcile_at(ENDS + 24 * HOUR).await;
    assert_eq!(world.valid(), [second]);
    assert_eq!(world.api.get(&key("apps/deployments", "vault")), deployment, "no pod was replaced");
}

#[tokio::test]
async fn reconcile_is_requeued_for_rotation_steps_without_other_writes() {
    let world = World::new().await;
    let seconds = |seconds| Action::requeue(Duration::from_secs(seconds));
    for (at, wait) in [(START, 600), (ENDS - 700, 520), (ENDS - 180, 180), (ENDS - 30, 30), (ENDS, 600)] {
        assert_eq!(world.reconcile_at(at).await, seconds(wait), "{}", at - ENDS);
        let version = world.api.version();
        assert_eq!(world.reconcile_at(at).await, seconds(wait));
        assert_eq!(world.api.changes_since(version), [""; 0]);
    }
}

#[tokio::test]
async fn status_keys_are_removed_with_generated_keys() {
    let world = World::new().await;
    world.api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["auth"] = json!({ "authority": "http://identity:5000" }));
    world.reconcile_once().await;
    assert_eq!(world.times(), Value::Null);
}

#[tokio::test]
async fn changed_algorithm_rotates_the_key() {
    let world = World::new().await;
    let first = world.valid();
    world.api.edit(&key(HUBS, "vault"), |hub| hub["spec"]["auth"]["generate"]["algorithm"] = json!("RS256"));
    world.reconcile_at(START + 60).await;
    assert_eq!(world.valid().len(), 2);
    let next = world.entry("next-private.pem");
    assert!(next.is_some());
    world.reconcile_at(START + 240).await;
    assert_eq!(world.entry("private.pem"), next);
    assert_eq!(world.valid()[1..], first, "its tokens are still accepted");
}

#[tokio::test]
async fn damaged_key_secret_is_rebuilt_from_its_intact_entries() {
    type Edit = (&'static str, fn(&mut Value));
    // In the middle of a rotation, with a key from the one before that is still accepted.
    let world = async || {
        let world = World::with(json!({ "generate": { "algorithm": "ES256", "rotateEvery": "30h" } })).await;
        for at in [30 * HOUR - 180, 30 * HOUR, 54 * HOUR - 60] {
            world.reconcile_at(START + at).await;
        }
        // The overlap is prolonged by hand: else it would be over before the next rotation.
        world.edit(|data| {
            let text = STANDARD.decode(data["rotation.json"].as_str().expect("it")).expect("base64");
            let mut record: Value = serde_json::from_slice(&text).expect("JSON");
            record["previous"][0]["until"] = json!("2026-01-04T00:00:00Z");
            data["rotation.json"] = json!(STANDARD.encode(record.to_string()));
        });
        world.reconcile_at(START + 60 * HOUR - 100).await;
        assert_eq!(world.valid().len(), 3);
        world
    };
    let kept: [Edit; 4] = [
        ("no public keys", |data| data["jwks.json"] = json!(STANDARD.encode("{}"))),
        ("no public entry", |data| _ = data.as_object_mut().expect("entries").remove("jwks.json")),
        ("a foreign key", |data| data["jwks.json"] = json!(STANDARD.encode(r#"{"keys":[{"kty":"EC","kid":"x"}]}"#))),
        ("no record", |data| _ = data.as_object_mut().expect("entries").remove("rotation.json")),
    ];
    for (what, edit) in kept {
        let world = world().await;
        let (valid, private) = (world.valid(), world.entry("private.pem"));
        world.edit(edit);
        world.reconcile_once().await;
        let (mut before, mut after) = (valid, world.valid());
        before.sort();
        after.sort();
        assert_eq!((after, world.entry("private.pem")), (before, private), "{what}");
    }

    let world = world().await;
    let (valid, next) = (world.valid(), world.entry("next-private.pem"));
    world.edit(|data| data["private.pem"] = json!(STANDARD.encode("hello")));
    world.reconcile_once().await;
    assert_eq!(world.entry("private.pem"), next, "the one whose public half is out already");
    assert!(valid.iter().all(|id| world.valid().contains(id)), "no token is refused");
}

#[tokio::test]
async fn invalid_next_key_is_regenerated_and_published_before_signing() {
    let world = World::new().await;
    world.reconcile_at(ENDS - 180).await;
    let broken = world.entry("next-private.pem");
    world.edit(|data| data["next-private.pem"] = json!(STANDARD.encode("hello")));
    world.reconcile_at(ENDS - 10).await;
    let next = world.entry("next-private.pem");
    assert_ne!((&next, next.as_deref()), (&broken, Some("hello")));
    world.reconcile_at(ENDS + 169).await;
    assert_eq!(world.entry("next-private.pem"), next, "the pods may not know it yet");
    world.reconcile_at(ENDS + 170).await;
    assert_eq!(world.entry("private.pem"), next);
}

#[tokio::test]
async fn replaced_private_key_keeps_the_previous_key_valid() {
    let world = World::new().await;
    let before = world.valid();
    let own = include_str!("keys/p256-private.pem");
    world.edit(|data| data["private.pem"] = json!(STANDARD.encode(own)));
    world.reconcile_at(START + 700 * HOUR).await;
    assert_eq!(world.entry("private.pem").as_deref(), Some(own));
    assert_eq!(world.valid()[1..], before);
    assert_eq!(world.times()["lastRotation"], "2026-01-30T04:00:00Z");
}

#[tokio::test]
async fn deleted_key_secret_invalidates_every_token() {
    let world = World::new().await;
    let before = world.valid();
    world.reconcile_at(ENDS - 180).await;
    world.api.delete(&key("secrets", "vault-jwt"));
    world.reconcile_once().await;
    assert_eq!(world.valid().len(), 1);
    assert!(!world.valid().contains(&before[0]));
    assert_eq!(world.entry("next-private.pem"), None);
}

#[tokio::test]
async fn key_secret_without_rotation_record_keeps_its_keys() {
    let world = World::new().await;
    let valid = world.valid();
    world.edit(|data| _ = data.as_object_mut().expect("entries").remove("rotation.json"));
    world.reconcile_at(START + 100 * HOUR).await;
    assert_eq!(world.valid(), valid);
    assert_eq!(world.times()["lastRotation"], "2026-01-01T00:00:00Z", "it is as old as the Secret");
}

#[tokio::test]
async fn rotation_interval_invalid_or_too_short_is_rejected() {
    let table = [
        (json!({ "rotateEvery": "24h" }), "auth.generate.rotateEvery: not longer than overlap"),
        (json!({ "rotateEvery": "1h", "overlap": "57m" }), "auth.generate.rotateEvery: not longer than overlap"),
        (json!({ "overlap": "x" }), "auth.generate.overlap: not a duration"),
        (json!({ "rotateEvery": "30d" }), "auth.generate.rotateEvery: not a duration"),
    ];
    for (generate, told) in table {
        let api = FakeApi::new();
        let mut spec = minimal_spec();
        spec["auth"]["generate"] = generate;
        api.create(hub("vault", spec));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "InvalidSpec".into()), "{told}");
        assert!(message(&api, "vault", "SpecValid").contains(told), "{}", message(&api, "vault", "SpecValid"));
        assert!(api.get(&key("secrets", "vault-jwt")).is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn rotation_steps_survive_a_fault_of_every_call() {
    for at in [ENDS - 180, ENDS, ENDS + 24 * HOUR] {
        let prepared = async || {
            let world = World::new().await;
            for earlier in [ENDS - 180, ENDS].into_iter().filter(|earlier| *earlier < at) {
                world.reconcile_at(earlier).await;
            }
            world.now.store(at, Ordering::Relaxed);
            world.api.take_calls();
            world
        };
        let calls = {
            let world = prepared().await;
            world.reconcile_once().await;
            world.api.take_calls()
        };
        for fault in [Fault::Refused(409), Fault::Refused(500), Fault::Hangs, Fault::AnswerLost] {
            for (index, call) in calls.iter().enumerate() {
                let world = prepared().await;
                let before = world.valid();
                world.api.inject(index, fault);
                let result = reconcile_once(&world.api, &world.operator(), "vault").await;
                assert!(result.is_err() || call.contains("events"), "{fault:?} at {call}");
                let between = world.valid();
                world.reconcile_once().await;
                let valid = world.valid();
                assert_eq!(valid.len(), if at > ENDS { 1 } else { 2 }, "{fault:?} at {call}");
                let kept = before.iter().filter(|id| valid.contains(id)).count();
                assert_eq!(kept, before.len().min(valid.len()), "{fault:?} at {call}: {before:?} became {valid:?}");
                // What somebody may have read meanwhile is still there.
                assert!(at > ENDS || between.iter().all(|id| valid.contains(id)), "{fault:?} at {call}");
            }
        }
    }
}
