//! Labels and annotations that children inherit from their hub.

use std::sync::Arc;

use notification_hub_operator::context::Context;
use notification_hub_operator::leader::Leadership;
use notification_hub_operator::model::defaults::Defaults;
use notification_hub_operator::model::inheritance::Inheritance;
use notification_hub_operator::telemetry::metrics::Metrics;
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{CHILDREN, HUBS, defaults, hub, key, minimal_spec, reconcile_once};

/// Returns a context whose configuration has inherited labels and annotations.
fn context(api: &FakeApi) -> Arc<Context> {
    let inheritance = Inheritance {
        labels: "team, cost.example/*, app.kubernetes.io/*".parse().expect("names"),
        annotations: "owner,kubectl.kubernetes.io/default-container".parse().expect("names"),
    };
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let defaults = Defaults { inheritance, ..defaults() };
    Arc::new(Context::new(api.client(), Leadership::NoElection, "test".to_owned(), metrics, defaults))
}

/// Returns every child and the pod template, which have labels.
fn labelled(api: &FakeApi) -> Vec<(String, Value)> {
    let child = |(resource, name): (&str, &str)| {
        let object = api.get(&key(resource, name)).unwrap_or_else(|| panic!("no {resource} {name}"));
        (format!("{resource} {name}"), object)
    };
    let mut all: Vec<_> = CHILDREN.into_iter().map(child).collect();
    let (_, deployment) = child(("apps/deployments", "vault"));
    all.push(("the pods".to_owned(), deployment["spec"]["template"].clone()));
    all
}

#[tokio::test]
async fn children_and_pods_inherit_configured_labels_of_their_hub() {
    let api = FakeApi::new();
    let context = context(&api);
    let mut resource = hub("vault", minimal_spec());
    resource["metadata"]["labels"] = json!({ "team": "blue", "cost.example/center": "7", "other": "red" });
    resource["metadata"]["annotations"] = json!({ "owner": "a person", "note": "for people" });
    api.create(resource);
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    for (what, object) in labelled(&api) {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["team"], "blue", "{what}");
        assert_eq!(metadata["labels"]["cost.example/center"], "7", "{what}");
        assert_eq!(metadata["annotations"]["owner"], "a person", "{what}");
        assert!(metadata["labels"].get("other").is_none() && metadata["annotations"].get("note").is_none(), "{what}");
    }
    let selector = api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["selector"]["matchLabels"].clone();
    assert_eq!(selector.as_object().expect("labels").len(), 2, "inherited labels are not in the selector: {selector}");

    let version = api.version();
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    assert_eq!(api.changes_since(version), [""; 0], "nothing is written again");

    api.edit(&key(HUBS, "vault"), |hub| {
        hub["metadata"]["labels"] = json!({ "team": "green" });
        hub["metadata"]["annotations"] = json!({});
    });
    reconcile_once(&api, &context, "vault").await.expect("a reconcile");
    for (what, object) in labelled(&api) {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["team"], "green", "{what}");
        assert!(metadata["labels"].get("cost.example/center").is_none(), "{what}");
        assert!(metadata["annotations"].get("owner").is_none(), "{what}");
    }
}

#[tokio::test]
async fn inherited_labels_yield_to_specific_and_operator_labels() {
    let api = FakeApi::new();
    let mut spec = minimal_spec();
    spec["service"] = json!({ "labels": { "team": "service" }, "annotations": { "owner": "service" } });
    spec["podTemplate"] = json!({ "metadata": { "labels": { "team": "pods" }, "annotations": { "owner": "pods" } } });
    let mut resource = hub("vault", spec);
    let operator_labels = [("name", "other"), ("instance", "other"), ("managed-by", "Helm"), ("part-of", "bitwarden")];
    let operator_labels = operator_labels.map(|(name, value)| (format!("app.kubernetes.io/{name}"), json!(value)));
    resource["metadata"]["labels"] = Value::Object(operator_labels.into_iter().collect());
    resource["metadata"]["labels"]["team"] = json!("hub");
    resource["metadata"]["annotations"] = json!({ "owner": "hub", "kubectl.kubernetes.io/default-container": "other" });
    api.create(resource);
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    for (what, object) in labelled(&api) {
        let labels = &object["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/name"], "notification-hub", "{what}");
        assert_eq!(labels["app.kubernetes.io/instance"], "vault", "{what}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "notification-hub-operator", "{what}");
        assert_eq!(labels["app.kubernetes.io/part-of"], "bitwarden", "{what}");
        let expected = match &*what {
            "services vault" => "service",
            "the pods" => "pods",
            _ => "hub",
        };
        assert_eq!(labels["team"], expected, "{what}");
        assert_eq!(object["metadata"]["annotations"]["owner"], expected, "{what}");
    }
    let pods = api.get(&key("apps/deployments", "vault")).expect("it")["spec"]["template"]["metadata"].clone();
    assert_eq!(pods["annotations"]["kubectl.kubernetes.io/default-container"], "hub");
}
