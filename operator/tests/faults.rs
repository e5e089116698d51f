//! Every call of a pass fails once, in every way: the pass fails, and a later one brings everything in order.

use crate::common::fake_api::{FakeApi, Fault};
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, HUBS, condition, context, hub, key, pass, roll_out, secret, smallest, with_queue,
};

const FAULTS: [Fault; 6] = [
    Fault::Refused(409),
    Fault::Refused(429),
    Fault::Refused(500),
    Fault::Refused(503),
    Fault::Hangs,
    Fault::AnswerLost,
];

fn is_in_order(api: &FakeApi) {
    assert!(CHILDREN.iter().all(|(resource, name)| api.get(&key(resource, name)).is_some()));
    assert_eq!(condition(api, "vault", "Ready"), ("True".into(), "Available".into()));
    assert_eq!(api.get(&key(HUBS, "vault")).expect("the hub")["status"]["observedGeneration"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_first_pass_survives_a_fault_of_every_call() {
    let calls = {
        let api = FakeApi::new();
        api.create(hub("vault", smallest()));
        pass(&api, &context(&api), "vault").await.expect("a pass");
        api.take_calls()
    };
    assert!(calls.len() > 2 * CHILDREN.len(), "{calls:#?}");
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = FakeApi::new();
            let context = context(&api);
            api.create(hub("vault", smallest()));
            api.inject(index, fault);
            let result = pass(&api, &context, "vault").await;
            // An Event that is lost is no reason to fail.
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            pass(&api, &context, "vault").await.unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            roll_out(&api, "vault");
            pass(&api, &context, "vault").await.unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            is_in_order(&api);
            let version = api.version();
            pass(&api, &context, "vault").await.expect("a pass");
            assert_eq!(api.changes_since(version), [""; 0], "{fault:?} at {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_repairing_pass_survives_a_fault_of_every_call() {
    let broken = async || {
        let api = FakeApi::new();
        api.create(hub("vault", smallest()));
        pass(&api, &context(&api), "vault").await.expect("a pass");
        roll_out(&api, "vault");
        api.edit(&key("services", "vault"), |it| it["spec"]["ports"][0]["port"] = serde_json::json!(80));
        api.take_calls();
        api
    };
    let calls = {
        let api = broken().await;
        pass(&api, &context(&api), "vault").await.expect("a pass");
        api.take_calls()
    };
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = broken().await;
            let context = context(&api);
            api.inject(index, fault);
            let result = pass(&api, &context, "vault").await;
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            pass(&api, &context, "vault").await.unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            is_in_order(&api);
            let ports = api.get(&key("services", "vault")).expect("the Service")["spec"]["ports"].clone();
            assert_eq!(ports.as_array().map(Vec::len), Some(1), "{fault:?} at {call}: {ports}");
            assert_eq!(ports[0]["port"], 5000, "{fault:?} at {call}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pruning_pass_survives_a_fault_of_every_call() {
    let switched = async || {
        let api = FakeApi::new();
        api.create(secret("storage", &[("url", CONNECTION_STRING)]));
        api.create(hub("vault", smallest()));
        pass(&api, &context(&api), "vault").await.expect("a pass");
        api.edit(&key(HUBS, "vault"), |hub| hub["spec"] = with_queue("storage"));
        pass(&api, &context(&api), "vault").await.expect("a pass");
        roll_out(&api, "vault");
        api.take_calls();
        api
    };
    let calls = {
        let api = switched().await;
        pass(&api, &context(&api), "vault").await.expect("a pass");
        api.take_calls()
    };
    assert_eq!(calls.iter().filter(|call| call.starts_with("delete")).count(), 2, "{calls:#?}");
    for fault in FAULTS {
        for (index, call) in calls.iter().enumerate() {
            let api = switched().await;
            let context = context(&api);
            api.inject(index, fault);
            let result = pass(&api, &context, "vault").await;
            assert_eq!(result.is_err(), !call.contains("events"), "{fault:?} at {call}: {result:?}");
            pass(&api, &context, "vault").await.unwrap_or_else(|error| panic!("{fault:?} at {call}: {error}"));
            let left: Vec<_> =
                CHILDREN.iter().filter(|(resource, name)| api.get(&key(resource, name)).is_some()).collect();
            assert_eq!(left.len(), CHILDREN.len() - 2, "{fault:?} at {call}: {left:?}");
            assert_eq!(condition(&api, "vault", "Ready"), ("True".into(), "Available".into()), "{fault:?} at {call}");
            let version = api.version();
            pass(&api, &context, "vault").await.expect("a pass");
            assert_eq!(api.changes_since(version), [""; 0], "{fault:?} at {call}");
        }
    }
}
