//! The number of pods: from the spec, from an autoscaler, and the hand-over between them.

use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    HUBS, REDIS_URL, condition, context, hub, key, message, reconcile_once, reconcile_until_ready, reconcile_vault,
    secret, with_autoscaling, with_redis,
};

const AUTOSCALER: (&str, &str) = ("autoscaling/horizontalpodautoscalers", "vault");

/// Returns an API server with a ready hub with this spec.
async fn ready_hub(spec: Value) -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("redis", &[("url", REDIS_URL)]));
    api.create(hub("vault", spec));
    reconcile_until_ready(&api).await;
    api
}

/// Replaces the spec and reconciles until the hub is ready.
async fn change_spec(api: &FakeApi, spec: Value) {
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

/// Sets the number of pods as an autoscaler.
fn set_replicas(api: &FakeApi, count: i32) {
    api.edit(&key("apps/deployments", "vault"), |it| it["spec"]["replicas"] = json!(count));
}

/// Asserts that the operator keeps the numbers of an autoscaler and writes nothing.
async fn assert_replicas_kept(api: &FakeApi) {
    for decided in [5, 2, 4] {
        set_replicas(api, decided);
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
    let api = ready_hub(from_two_to_five()).await;
    assert_eq!(count(&api), 2);
    assert!(api.get(&key("policy/poddisruptionbudgets", "vault")).is_some(), "a budget for several pods");
    assert_replicas_kept(&api).await;

    api.delete(&key("apps/deployments", "vault"));
    reconcile_until_ready(&api).await;
    assert_eq!(count(&api), 2, "a recreated Deployment starts at the minimum");
    assert_replicas_kept(&api).await;
}

#[tokio::test]
async fn switch_to_autoscaling_and_back_keeps_live_replicas() {
    let api = ready_hub(with_redis("redis", 3)).await;
    let template = deployment(&api)["spec"]["template"].clone();
    for _ in 0..2 {
        change_spec(&api, from_two_to_five()).await;
        assert_eq!((count(&api), &deployment(&api)["spec"]["template"]), (json!(3), &template));
        let autoscaler = api.get(&key(AUTOSCALER.0, AUTOSCALER.1)).expect("an autoscaler")["spec"].clone();
        assert_eq!((&autoscaler["minReplicas"], &autoscaler["maxReplicas"]), (&json!(2), &json!(5)));
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "vault" });
        assert_eq!(autoscaler["scaleTargetRef"], target);
        assert_replicas_kept(&api).await;

        change_spec(&api, with_redis("redis", 3)).await;
        assert_eq!((count(&api), &deployment(&api)["spec"]["template"]), (json!(3), &template));
        assert!(api.get(&key(AUTOSCALER.0, AUTOSCALER.1)).is_none(), "no autoscaler");
        set_replicas(&api, 1);
        reconcile_until_ready(&api).await;
        assert_eq!(count(&api), 3, "the spec decides again");
    }
}

#[tokio::test]
async fn switch_to_autoscaling_from_zero_starts_at_min_replicas() {
    let api = ready_hub(with_redis("redis", 0)).await;
    change_spec(&api, from_two_to_five()).await;
    assert_eq!(count(&api), 2, "an autoscaler does not scale up from 0");
    assert_replicas_kept(&api).await;

    set_replicas(&api, 0);
    reconcile_until_ready(&api).await;
    assert_eq!(count(&api), 0, "a Deployment that was scaled to 0 stays there");
}

#[tokio::test]
async fn autoscaler_is_deleted_before_replicas_are_set() {
    let api = ready_hub(from_two_to_five()).await;
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
        let api = ready_hub(with_redis("redis", 3)).await;
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
            set_replicas(&api, 4);
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
    for (spec, expected) in table {
        let api = FakeApi::new();
        api.create(secret("redis", &[("url", REDIS_URL)]));
        api.create(hub("vault", spec));
        reconcile_vault(&api).await;
        assert_eq!(condition(&api, "vault", "SpecValid"), ("False".into(), "InvalidSpec".into()), "{expected}");
        assert_eq!(message(&api, "vault", "Ready"), expected);
    }
}
