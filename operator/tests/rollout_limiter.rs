//! Rollouts after an upgrade of the operator are limited.

use std::sync::Arc;

use notification_hub_operator::context::Context;
use notification_hub_operator::leader::Leadership;
use notification_hub_operator::telemetry::metrics::Metrics;
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    HUBS, complete_rollout, condition, context, defaults, has_condition, hub, key, minimal_spec, reconcile_once,
};

const NAMES: [&str; 3] = ["a", "b", "c"];

const NEW_IMAGE: &str = "registry.example.com/hub:2.0.0";

/// Returns the context of a new version of the operator, which rolls out one hub at once.
fn upgraded(api: &FakeApi) -> Arc<Context> {
    let mut defaults = defaults();
    defaults.image = NEW_IMAGE.parse().expect("an image");
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let context = Context::new(api.client(), Leadership::NoElection, "test".to_owned(), metrics, defaults);
    Arc::new(context.with_max_concurrent_rollouts(1))
}

/// Returns an API server with ready hubs of the old version of the operator.
async fn hubs() -> FakeApi {
    let api = FakeApi::new();
    let context = context(&api);
    for name in NAMES {
        api.create(hub(name, minimal_spec()));
        reconcile_once(&api, &context, name).await.expect("a reconcile");
        complete_rollout(&api, name);
        reconcile_once(&api, &context, name).await.expect("a reconcile");
    }
    api
}

fn container(api: &FakeApi, name: &str) -> Value {
    api.get(&key("apps/deployments", name)).expect("it")["spec"]["template"]["spec"]["containers"][0].clone()
}

#[tokio::test]
async fn operator_upgrade_rolls_out_hubs_one_by_one() {
    let api = hubs().await;
    let context = upgraded(&api);
    for (turn, name) in NAMES.into_iter().enumerate() {
        for each in NAMES {
            reconcile_once(&api, &context, each).await.expect("a reconcile");
        }
        for (index, each) in NAMES.into_iter().enumerate() {
            assert_eq!(container(&api, each)["image"] == NEW_IMAGE, index <= turn, "{each} in turn {turn}");
            if index > turn {
                assert_eq!(condition(&api, each, "Progressing"), ("False".into(), "RolloutQueued".into()));
                assert_eq!(condition(&api, each, "Ready"), ("True".into(), "Available".into()), "the old pods serve");
            }
        }
        complete_rollout(&api, name);
        reconcile_once(&api, &context, name).await.expect("a reconcile that sees the end of the rollout");
    }
    assert!(NAMES.into_iter().all(|name| has_condition(&api, name, "Ready", ("True", "Available"))));
    assert!(NAMES.into_iter().all(|name| has_condition(&api, name, "Progressing", ("False", "RolloutComplete"))));
}

#[tokio::test]
async fn spec_edits_and_drift_do_not_wait_for_rollouts() {
    let api = hubs().await;
    let context = upgraded(&api);
    reconcile_once(&api, &context, "a").await.expect("a reconcile");
    reconcile_once(&api, &context, "b").await.expect("a reconcile");
    assert!(has_condition(&api, "b", "Progressing", ("False", "RolloutQueued")), "the rollout of a has started");
    api.edit(&key("services", "b"), |it| it["spec"]["selector"] = json!({ "app": "other" }));
    reconcile_once(&api, &context, "b").await.expect("a reconcile");
    let selector = api.get(&key("services", "b")).expect("it")["spec"]["selector"].clone();
    assert_eq!(selector["app.kubernetes.io/instance"], "b", "drift without a rollout is reverted at once");

    let priority = json!({ "spec": { "priorityClassName": "high" } });
    api.edit(&key(HUBS, "b"), |hub| hub["spec"]["podTemplate"] = priority);
    reconcile_once(&api, &context, "b").await.expect("a reconcile");
    assert_eq!(container(&api, "b")["image"], NEW_IMAGE, "an edit of the spec is applied");

    api.edit(&key("apps/deployments", "b"), |it| {
        it["spec"]["template"]["spec"]["containers"][0]["image"] = json!("registry.example.com/evil:1");
    });
    reconcile_once(&api, &context, "b").await.expect("a reconcile");
    assert_eq!(container(&api, "b")["image"], NEW_IMAGE, "an edit of the Deployment is reverted");
}
