//! The permissions are sufficient and minimal: they equal the observed calls of the operator.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::core::ApiResource;
use notification_hub_operator::permissions::{PERMISSIONS, Scope};
use notification_hub_operator::third_party::ThirdPartyKind;
use serde_json::json;

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CONNECTION_STRING, HUBS, P256_PUBLIC, REDIS_URL, complete_rollout, has_condition, hub, key, minimal_spec, secret,
    with_autoscaling, with_queue, with_redis, with_signing_keys,
};
use crate::common::request::Access;
use crate::controller::Running;
use crate::leader::Candidate;

/// Causes every call of the operator: an election, hubs of every kind, conflicts, drift, and repeated changes.
async fn cause_every_call(api: &FakeApi) {
    let candidate = Candidate::start(api.client(), "first");
    assert!(candidate.leads_within(Duration::from_secs(60)).await);
    let running = Running::start(api, &[]);
    api.create(hub("broken", json!({ "source": "nowhere" })));
    api.create(secret("keys", &[("a.pem", P256_PUBLIC)]));
    api.create(hub("second", with_signing_keys("keys")));
    api.create(hub("third", with_signing_keys("missing")));
    api.create(hub("vault", minimal_spec()));
    let ready = |status, reason| move |api: &FakeApi| has_condition(api, "vault", "Ready", (status, reason));
    for replicas in [1, 0, 1] {
        api.edit(&key(HUBS, "vault"), |it| it["spec"]["replicas"] = json!(replicas));
        let seen = |api: &FakeApi| {
            api.get(&key("apps/deployments", "vault")).is_some_and(|it| it["spec"]["replicas"] == replicas)
        };
        api.until("the replicas are applied", seen).await;
        api.until("a rollout begins", ready("False", "Progressing")).await;
        complete_rollout(api, "vault");
        let ready = if replicas == 0 { ready("True", "ScaledToZero") } else { ready("True", "Available") };
        api.until("the end of the rollout", ready).await;
    }
    api.until("the second hub", |api| api.get(&key("apps/deployments", "second")).is_some()).await;
    api.until("the third hub", |api| has_condition(api, "third", "Ready", ("False", "ReferencesMissing"))).await;
    api.edit(&key("services", "vault"), |it| it["spec"]["ports"][0]["port"] = json!(80));
    api.until("repair", |api| api.get(&key("services", "vault")).expect("it")["spec"]["ports"][0]["port"] == 5000)
        .await;
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_queue("storage"));
    api.until("the other source", |api| {
        api.get(&key("apps/deployments", "vault")).expect("it").to_string().contains("AZURE_QUEUE")
    })
    .await;
    complete_rollout(api, "vault");
    let gone = |resource: &str, name: &str| api.get(&key(resource, name)).is_none();
    api.until("children are pruned", |_| gone("services", "vault-internal") && gone("secrets", "vault-jwt")).await;
    api.create(secret("redis", &[("url", REDIS_URL)]));
    for replicas in [2, 1] {
        api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_redis("redis", replicas));
        api.until("the number of replicas changes", |api| {
            api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["replicas"] == replicas
        })
        .await;
        complete_rollout(api, "vault");
    }
    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_autoscaling(json!({ "maxReplicas": 3 })));
    let autoscaler = |api: &FakeApi| api.get(&key("autoscaling/horizontalpodautoscalers", "vault"));
    api.until("an autoscaler", |api| autoscaler(api).is_some()).await;
    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_redis("redis", 1));
    api.until("none", |api| autoscaler(api).is_none()).await;
    complete_rollout(api, "vault");
    api.until("no budget", |_| gone("policy/poddisruptionbudgets", "vault")).await;
    api.edit(&key(HUBS, "vault"), |it| it["spec"]["expose"] = json!({ "ingress": {} }));
    api.until("an Ingress", |_| !gone("networking.k8s.io/ingresses", "vault")).await;
    api.edit(&key(HUBS, "vault"), |it| it["spec"]["expose"] = serde_json::Value::Null);
    api.until("no Ingress", |_| gone("networking.k8s.io/ingresses", "vault")).await;
    let guard = |enabled: bool| {
        let guarded = |it: &mut serde_json::Value| it["spec"]["networkPolicy"] = json!({ "enabled": enabled });
        api.edit(&key(HUBS, "vault"), guarded);
    };
    guard(true);
    api.until("a policy", |_| !gone("networking.k8s.io/networkpolicies", "vault")).await;
    guard(false);
    api.until("no policy", |_| gone("networking.k8s.io/networkpolicies", "vault")).await;
    for kind in ThirdPartyKind::ALL {
        api.install(kind);
    }
    let third_party = || ThirdPartyKind::ALL.map(|kind| kind.resource());
    let existing = |api: &FakeApi| {
        let exists = |it: ApiResource| api.get(&key(&format!("{}/{}", it.group, it.plural), "vault")).is_some();
        third_party().map(exists)
    };
    let monitored =
        |enabled: bool| json!({ "serviceMonitor": { "enabled": enabled }, "podMonitor": { "enabled": enabled } });
    api.edit(&key(HUBS, "vault"), |it| {
        it["spec"] = with_autoscaling(json!({ "maxReplicas": 3, "keda": {} }));
        it["spec"]["expose"] = json!({ "httpRoute": { "parentRefs": [{ "name": "public" }] } });
        it["spec"]["monitoring"] = monitored(true);
    });
    api.until("objects of third-party kinds", |api| existing(api) == [true; 4]).await;
    api.edit(&key(HUBS, "vault"), |it| it["spec"] = with_redis("redis", 1));
    api.until("none of them", |api| existing(api) == [false; 4]).await;
    let pods_are_listed =
        |api: &FakeApi| api.accesses().iter().any(|access| (access.verb, access.resource.as_str()) == ("list", "pods"));
    api.until("pods are listed", pods_are_listed).await;
    running.stop().await;
    candidate.stop().await;
}

fn permitted(scope: Scope) -> BTreeSet<Access> {
    let scoped = PERMISSIONS.iter().filter(|permission| permission.scope == scope);
    let accesses = scoped.flat_map(|permission| {
        let access = |verb: &&'static str| Access {
            verb,
            group: permission.group.to_owned(),
            resource: permission.resource.to_owned(),
        };
        permission.verbs.iter().map(access)
    });
    accesses.collect()
}

#[tokio::test(start_paused = true)]
async fn permissions_equal_the_observed_api_accesses() {
    let api = FakeApi::new();
    cause_every_call(&api).await;
    let (own, watched): (BTreeSet<_>, BTreeSet<_>) =
        api.accesses().into_iter().partition(|access| access.resource == "leases");
    assert_eq!(watched, permitted(Scope::Watched));
    assert_eq!(own, permitted(Scope::Own));
}
