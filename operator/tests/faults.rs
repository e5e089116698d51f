//! Faults of every call of a reconcile: the reconcile fails, and a later one recovers.

use serde_json::{Value, json};

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, REDIS_URL, complete_rollout, condition, context, hub, key, minimal_spec,
    reconcile_once, reconcile_until_ready, reconcile_vault, secret, with_queue, with_redis,
};

const FAULTS: [Fault; 6] = [
    Fault::Refused(409),
    Fault::Refused(429),
    Fault::Refused(500),
    Fault::Refused(503),
    Fault::Hangs,
    Fault::AnswerLost,
];

/// Asserts that all children exist and the hub is ready.
fn assert_complete(api: &FakeApi) {
    assert!(CHILDREN.iter().all(|(resource, name)| api.get(&key(resource, name)).is_some()));
    assert_eq!(condition(api, "vault", "Ready"), ("True".into(), "Available".into()));
    assert_eq!(api.get(&key(HUBS, "vault")).expect("the hub")["status"]["observedGeneration"], 1);
}

#[tokio::test(start_paused = true)]
async fn first_reconcile_survives_a_fault_of_every_call() {
    let calls = {
        let api = FakeApi::new();
        api.create(hub("vault", minimal_spec()));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        api.take_calls()
    };
    assert!(calls.len() > 2 * CHILDREN.len(), "{calls:#?}");
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = FakeApi::new();
            let context = context(&api);
            api.create(hub("vault", minimal_spec()));
            api.inject(index, fault);
            let result = reconcile_once(&api, &context, "vault").await;
            // A reconcile does not fail if an Event cannot be written.
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            reconcile_once(&api, &context, "vault")
                .await
                .unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            complete_rollout(&api, "vault");
            reconcile_once(&api, &context, "vault")
                .await
                .unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            assert_complete(&api);
            let version = api.version();
            reconcile_once(&api, &context, "vault").await.expect("a reconcile");
            assert_eq!(api.changes_since(version), [""; 0], "{fault:?} at {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn repairing_reconcile_survives_a_fault_of_every_call() {
    let broken = async || {
        let api = FakeApi::new();
        api.create(hub("vault", minimal_spec()));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        complete_rollout(&api, "vault");
        api.edit(&key("services", "vault"), |it| it["spec"]["ports"][0]["port"] = serde_json::json!(80));
        api.take_calls();
        api
    };
    let calls = {
        let api = broken().await;
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        api.take_calls()
    };
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = broken().await;
            let context = context(&api);
            api.inject(index, fault);
            let result = reconcile_once(&api, &context, "vault").await;
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            reconcile_once(&api, &context, "vault")
                .await
                .unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            assert_complete(&api);
            let ports = api.get(&key("services", "vault")).expect("the Service")["spec"]["ports"].clone();
            assert_eq!(ports.as_array().map(Vec::len), Some(1), "{fault:?} at {call}: {ports}");
            assert_eq!(ports[0]["port"], 5000, "{fault:?} at {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pruning_reconcile_survives_a_fault_of_every_call() {
    let switched = async || {
        let api = FakeApi::new();
        api.create(secret("storage", &[("url", CONNECTION_STRING)]));
        api.create(hub("vault", minimal_spec()));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_queue("storage"));
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        complete_rollout(&api, "vault");
        api.take_calls();
        api
    };
    let calls = {
        let api = switched().await;
        reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
        api.take_calls()
    };
    assert_eq!(calls.iter().filter(|call| call.starts_with("delete")).count(), 2, "{calls:#?}");
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = switched().await;
            let context = context(&api);
            api.inject(index, fault);
            let result = reconcile_once(&api, &context, "vault").await;
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            reconcile_once(&api, &context, "vault")
                .await
                .unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            let left: Vec<_> =
                CHILDREN.iter().filter(|(resource, name)| api.get(&key(resource, name)).is_some()).collect();
            assert_eq!(left.len(), CHILDREN.len() - 2, "{fault:?} at {call}: {left:?}");
            assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()), "{fault:?} at {call}");
            let version = api.version();
            reconcile_once(&api, &context, "vault").await.expect("a reconcile");
            assert_eq!(api.changes_since(version), [""; 0], "{fault:?} at {call}");
        }
    }
}

/// Returns the template of the pods and all entries of Secrets that a new pod reads. Leaves out the log level, which takes
/// effect without a rollout.
fn running_configuration(api: &FakeApi) -> Value {
    let template = api.get(&key("apps/deployments", "vault")).expect("a Deployment")["spec"]["template"].clone();
    let read = |name: &Value, entry: &Value| {
        let secret = api.get(&key("secrets", name.as_str().expect("a name"))).unwrap_or_default();
        secret["data"][entry.as_str().expect("an entry")].clone()
    };
    let spec = &template["spec"];
    let list = |owner: &Value, name: &str| owner[name].as_array().cloned().unwrap_or_default();
    let mut secrets = Vec::new();
    for volume in list(spec, "volumes") {
        let items = list(&volume["secret"], "items");
        secrets.extend(items.iter().map(|item| read(&volume["secret"]["secretName"], &item["key"])));
    }
    for variable in list(&spec["containers"][0], "env") {
        let reference = &variable["valueFrom"]["secretKeyRef"];
        secrets.push(read(&reference["name"], &reference["key"]));
    }
    assert!(secrets.iter().all(|content| content.is_string()), "a pod could not start: {template:#}");
    json!({ "template": template, "secrets": secrets })
}

/// Returns whether a call writes a child.
fn is_write(call: &str) -> bool {
    let writes = ["patch ", "delete ", "create "].iter().any(|verb| call.starts_with(verb));
    writes && !call.contains("events") && !call.contains("notificationhubs")
}

#[tokio::test(start_paused = true)]
async fn rejected_write_leaves_old_or_new_hub_complete() {
    let mut before = with_redis("redis", 2);
    before["auth"] = json!({ "generate": { "algorithm": "ES256" } });
    before["networkPolicy"] = json!({ "enabled": true });
    let mut after = with_queue("storage");
    after["auth"] = json!({ "generate": { "algorithm": "ES256" }, "issuer": "https://vault.example.com" });
    after["installationID"] = json!("6d1a2f0e-6a0b-4f5e-9d0c-b0a700f7f3a1");
    after["backplane"] = with_redis("other", 2)["backplane"].clone();
    after.as_object_mut().expect("a spec").remove("replicas");
    after["autoscaling"] = json!({ "maxReplicas": 3 });
    after["expose"] = json!({ "ingress": { "host": "vault.example.com" } });
    after["log"] = json!({ "level": "debug" });
    after["podTemplate"] = json!({ "spec": { "priorityClassName": "high" } });
    let api = FakeApi::new();
    for (name, content) in [("redis", REDIS_URL), ("other", "redis://other:6379"), ("storage", CONNECTION_STRING)] {
        api.create(secret(name, &[("url", content)]));
    }
    api.create(hub("vault", before));
    reconcile_until_ready(&api).await;
    let old = running_configuration(&api);
    api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = after);
    let edited = api.fork();
    reconcile_vault(&api).await;
    complete_rollout(&api, "vault");
    let rolled_out = api.fork();
    reconcile_vault(&api).await;
    let new = running_configuration(&api);
    assert!(new != old && new.to_string().contains("priorityClassName"), "{new:#}");
    assert!(api.get(&key("services", "vault-internal")).is_none(), "the children are pruned");

    let mut writes = 0;
    for before in [&edited, &rolled_out] {
        let calls = {
            let api = before.fork();
            reconcile_vault(&api).await;
            api.take_calls()
        };
        for (index, call) in calls.iter().enumerate().filter(|(_, call)| is_write(call)) {
            writes += 1;
            for code in [400, 403, 404, 409, 413, 422, 429, 500] {
                let api = before.fork();
                api.inject(index, Fault::Refused(code));
                // Another test checks the status after a refusal.
                let _ = reconcile_once(&api, &context(&api), "vault").await;
                let runs = running_configuration(&api);
                assert!(runs == old || runs == new, "{code} at {call}: {runs:#}");
            }
            // A policy that denies all of these.
            let api = before.fork();
            api.refuse(call.rsplit_once(' ').expect("a name").0, 403);
            for _ in 0..2 {
                let _ = reconcile_once(&api, &context(&api), "vault").await;
                let runs = running_configuration(&api);
                assert!(runs == old || runs == new, "every {call} is denied: {runs:#}");
            }
        }
    }
    assert!(writes > 20, "only {writes}");
}
