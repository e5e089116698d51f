//! Who decides how many pods there are: the spec, an autoscaler, and the moment between.

use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    HUBS, REDIS_URL, condition, context, hub, key, message, reconcile_once, reconcile_until_ready, reconcile_vault,
    secret, with_autoscaling, with_redis,
};

const AUTOSCALER: (&str, &str) = ("autoscaling/horizontalpodautoscalers", "vault");

/// A hub with this spec that has come up.
async fn up(spec: Value) -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    api.create(hub("vault", spec));
    reconcile_until_ready(&api).await;
    api
}

async fn becomes(api: &FakeApi, spec: Value) {
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = spec);
    reconcile_until_ready(api).await;
}

fn from_two_to_five() -> Value {
    with_autoscaling(json!({ "minReplicas": 2, "maxReplicas": 5 }))
}

fn deployment(api: &FakeApi) -> Value {
    api.get(&key("apps/deployments", "vault")).expect("a Deployment")
}

fn count(api: &FakeApi) -> Value {
    deployment(api)["spec"]["replicas"].clone()
}

/// Plays the autoscaler.
fn decide(api: &FakeApi, count: i32) {
    api.edit(&key("apps/deployments", "vault"), |it| it["spec"]["replicas"] = json!(count));
}

/// What an autoscaler decides is left alone, and nothing is written for it.
async fn is_left_to_the_autoscaler(api: &FakeApi) {
    for decided in [5, 2, 4] {
        decide(api, decided);
        reconcile_until_ready(api).await;
        assert_eq!(count(api), decided);
        assert_eq!(condition(api, "vault", "Ready"), ("True".into(), "Available".into()));
        let version = api.version();
        reconcile_vault(api).await;
        assert_eq!(api.changes_since(version), [""; 0], "{decided}");
    }
}

#[tokio::test]
async fn new_autoscaled_hub_starts_at_min_replicas() {
    let api = up(from_two_to_five()).await;
    assert_eq!(count(&api), 2);
    assert!(api.get(&key("policy/poddisruptionbudgets", "vault")).is_some(), "there may be several");
    is_left_to_the_autoscaler(&api).await;

    api.delete(&key("apps/deployments", "vault"));
    reconcile_until_ready(&api).await;
    assert_eq!(count(&api), 2, "one that was deleted is new");
    is_left_to_the_autoscaler(&api).await;
}

#[tokio::test]
async fn switch_to_autoscaling_and_back_keeps_live_replicas() {
    let api = up(with_redis("redis", 3)).await;
    let template = deployment(&api)["spec"]["template"].clone();
    for _ in 0..2 {
        becomes(&api, from_two_to_five()).await;
        assert_eq!((count(&api), &deployment(&api)["spec"]["template"]), (json!(3), &template));
        let autoscaler = api.get(&key(AUTOSCALER.0, AUTOSCALER.1)).expect("an autoscaler")["spec"].clone();
        assert_eq!((&autoscaler["minReplicas"], &autoscaler["maxReplicas"]), (&json!(2), &json!(5)));
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "vault" });
        assert_eq!(autoscaler["scaleTargetRef"], target);
        is_left_to_the_autoscaler(&api).await;

        becomes(&api, with_redis("redis", 3)).await;
        assert_eq!((count(&api), &deployment(&api)["spec"]["template"]), (json!(3), &template));
        assert!(api.get(&key(AUTOSCALER.0, AUTOSCALER.1)).is_none(), "it would decide something else");
        decide(&api, 1);
        reconcile_until_ready(&api).await;
        assert_eq!(count(&api), 3, "the spec decides again");
    }
}

#[tokio::test]
async fn switch_to_autoscaling_from_zero_starts_at_min_replicas() {
    let api = up(with_redis("redis", 0)).await;
    becomes(&api, from_two_to_five()).await;
    assert_eq!(count(&api), 2, "no autoscaler does anything where there is no pod");
    is_left_to_the_autoscaler(&api).await;

    decide(&api, 0);
    reconcile_until_ready(&api).await;
    assert_eq!(count(&api), 0, "whoever stops the Deployment itself is left alone");
}

#[tokio::test]
async fn autoscaler_is_deleted_before_replicas_are_set() {
    let api = up(from_two_to_five()).await;
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_redis("redis", 3));
    api.take_calls();
    reconcile_vault(&api).await;
    let calls = api.take_calls();
    let at = |call: &str| calls.iter().position(|each| each == call).unwrap_or_else(|| panic!("no {call}: {calls:#?}"));
    let written = calls.iter().rposition(|call| call == "patch deployments vault").expect("a write");
    assert!(at("delete horizontalpodautoscalers vault") < written, "{calls:#?}");
}

#[tokio::test(start_paused = true)]
async fn switch_to_autoscaling_survives_a_fault_of_every_call() {
    let switched = async || {
        let api = up(with_redis("redis", 3)).await;
        api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = from_two_to_five());
        api.take_calls();
        api
    };
    let calls = {
        let api = switched().await;
        reconcile_vault(&api).await;
        api.take_calls()
    };
    // A dry run, the hand-over, and the apply.
    assert_eq!(calls.iter().filter(|call| *call == "patch deployments vault").count(), 3, "{calls:#?}");
    for fault in [Fault::Refused(409), Fault::Refused(500), Fault::Hangs, Fault::AnswerLost] {
        for (index, call) in calls.iter().enumerate() {
            let api = switched().await;
            api.inject(index, fault);
            let result = reconcile_once(&api, &context(&api), "vault").await;
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            assert_eq!(count(&api), 3, "{fault:?} at {call}");
            reconcile_until_ready(&api).await;
            assert_eq!(count(&api), 3, "{fault:?} at {call}");
            decide(&api, 4);
            reconcile_vault(&api).await;
            assert_eq!(count(&api), 4, "{fault:?} at {call}");
        }
    }
}

#[tokio::test]
async fn invalid_autoscaling_is_reported_without_crd_validation() {
    let without_backplane = json!({
        "source": { "direct": {} }, "auth": { "authority": "http://identity" }, "autoscaling": { "maxReplicas": 2 },
    });
    let mut both = from_two_to_five();
    both["replicas"] = json!(2);
    let upside_down = with_autoscaling(json!({ "minReplicas": 3, "maxReplicas": 2 }));
    let table = [
        (without_backplane, "autoscaling.maxReplicas: 2 pods require a backplane; set backplane"),
        (both, "replicas: not allowed with autoscaling; remove one of them"),
        (upside_down, "autoscaling.maxReplicas: 2 is less than autoscaling.minReplicas (3); increase it"),
    ];
    for (spec, told) in table {
        let api = FakeApi::new();
        api.create(secret("redis", &[("url", REDIS_URL)]));
        api.create(hub("vault", spec));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "InvalidSpec".into()), "{told}");
        assert_eq!(message(&api, "vault", "Ready"), told);
    }
}
