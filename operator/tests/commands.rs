//! The commands besides `run`, against an API server in memory.

use std::convert::Infallible;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body as KubeBody;
use notification_hub_operator::cli::RunArguments;
use notification_hub_operator::commands::check_permissions::{missing, required_permissions};
use notification_hub_operator::commands::diff::{DiffError, Difference, diff};
use notification_hub_operator::config::Config;
use notification_hub_operator::model::defaults::Defaults;
use notification_hub_operator::permissions::{PERMISSIONS, Scope};
use serde_json::{Value, json};

use crate::common::fake_api::FakeApi;
use crate::common::fixtures::{
    CHILDREN, CONNECTION_STRING, complete_rollout, context, defaults, hub, key, minimal_spec, reconcile_once, secret,
    with_queue, with_signing_keys,
};

fn config(namespaces: &str, election: &str) -> Config {
    let text = |text: &str| Some(text.to_owned());
    let arguments =
        RunArguments { watch_namespaces: text(namespaces), leader_election: text(election), ..RunArguments::default() };
    Config::new(&arguments).expect("a configuration")
}

fn verbs(scope: Scope) -> usize {
    PERMISSIONS.iter().filter(|each| each.scope == scope).map(|each| each.verbs.len()).sum()
}

/// Returns a client of an API server that answers access reviews by `allows`.
fn reviewer(allows: fn(&Value) -> bool) -> Client {
    let service = tower::service_fn(move |request: Request<KubeBody>| async move {
        assert_eq!(request.uri().path(), "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        let mut review: Value = serde_json::from_slice(&body).expect("JSON");
        review["status"] = json!({ "allowed": allows(&review["spec"]["resourceAttributes"]) });
        Ok::<_, Infallible>(Response::new(Body::from(review.to_string())))
    });
    Client::new(service, "default")
}

#[test]
fn check_permissions_asks_for_every_permission_per_namespace() {
    let (watched, own) = (verbs(Scope::Watched), verbs(Scope::Own));
    let all_namespaces = required_permissions(&config("", "true"), "operators");
    assert_eq!(all_namespaces.len(), watched + own);
    assert_eq!(all_namespaces.iter().filter(|permission| permission.namespace.is_none()).count(), watched);
    assert_eq!(
        all_namespaces.iter().filter(|permission| permission.namespace.as_deref() == Some("operators")).count(),
        own
    );
    let listed = required_permissions(&config("a,b", "false"), "operators");
    assert_eq!(listed.len(), 2 * watched);
    assert!(listed.iter().all(|permission| permission.namespace.is_some()));
}

#[tokio::test]
async fn check_permissions_denied_permission_is_listed_with_reason() {
    let all = required_permissions(&config("bitwarden", "true"), "operators");
    assert_eq!(missing(&reviewer(|_| true), all.clone()).await.expect("answers"), []);
    let only_its_lease =
        |attributes: &Value| attributes["resource"] != "leases" || attributes["name"] == "notification-hub-operator";
    assert_eq!(missing(&reviewer(only_its_lease), all.clone()).await.expect("answers"), []);
    let allows = |attributes: &Value| attributes["subresource"] != "status" && attributes["resource"] != "leases";
    let denied = missing(&reviewer(allows), all).await.expect("answers");
    let messages: Vec<_> = denied.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages[0],
        "patch notificationhub.rs/notificationhubs/status in namespace bitwarden: Writes the status of NotificationHubs."
    );
    assert!(
        messages[1..].iter().all(|line| line.contains("coordination.k8s.io/leases in namespace operators")),
        "{messages:?}"
    );
    assert_eq!(messages.len(), 1 + verbs(Scope::Own));
}

async fn differences(api: &FakeApi, hub: &Value) -> Result<Difference, DiffError> {
    differences_with(api, hub, &defaults()).await
}

async fn differences_with(api: &FakeApi, hub: &Value, defaults: &Defaults) -> Result<Difference, DiffError> {
    let yaml = format!("apiVersion: v1\nkind: ConfigMap\n---\n{}", serde_saphyr::to_string(hub).expect("YAML"));
    let version = api.version();
    let found = diff(&api.client(), &yaml, None, defaults).await;
    assert_eq!(api.changes_since(version), [""; 0], "nothing is written");
    let mut found = found?;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0))
}

async fn applied() -> FakeApi {
    let api = FakeApi::new();
    api.create(secret("storage", &[("url", CONNECTION_STRING)]));
    api.create(hub("vault", minimal_spec()));
    reconcile_once(&api, &context(&api), "vault").await.expect("a reconcile");
    complete_rollout(&api, "vault");
    api
}

#[tokio::test]
async fn diff_of_a_new_hub_shows_every_child() {
    let found = differences(&FakeApi::new(), &hub("vault", minimal_spec())).await.expect("differences");
    assert!(found.changes && !found.blocked, "{}", found.text);
    for (_, name) in CHILDREN {
        assert!(found.text.lines().any(|line| line.starts_with("+ ") && line.ends_with(&format!(" {name}"))), "{name}");
    }
}

#[tokio::test]
async fn diff_of_an_unchanged_hub_is_empty() {
    let found = differences(&applied().await, &hub("vault", minimal_spec())).await.expect("no differences");
    assert_eq!(found.text, "NotificationHub vault in namespace bitwarden\n");
    assert!(!found.changes && !found.blocked);
}

#[tokio::test]
async fn diff_shows_changed_lines_and_hides_secrets() {
    let api = applied().await;
    let found = differences(&api, &hub("vault", with_queue("storage"))).await.expect("differences");
    assert!(found.changes && !found.blocked);
    for part in ["~ Deployment vault\n", "- Service vault-internal\n", "- Secret vault-jwt\n"] {
        assert!(found.text.contains(part), "{part} in:\n{}", found.text);
    }
    for line in ["kind = \"direct\"\n", "-         - containerPort: 5001\n"] {
        assert!(found.text.contains(line), "{line} in:\n{}", found.text);
    }
    assert!(!found.text.contains("AccountKey"), "{}", found.text);

    let mut other = minimal_spec();
    other["auth"]["generate"]["algorithm"] = json!("RS256");
    let found = differences(&api, &hub("vault", other)).await.expect("differences");
    assert!(found.text.contains("~ Secret vault-jwt\n") && found.text.contains("(hidden"), "{}", found.text);
    let stored = api.get(&key("secrets", "vault-jwt")).expect("the Secret")["data"]["private.pem"].clone();
    assert!(!found.text.contains(stored.as_str().expect("a text")), "{}", found.text);
}

#[tokio::test]
async fn diff_shows_inherited_labels() {
    let mut defaults = defaults();
    defaults.inheritance.labels = "team".parse().expect("names");
    let mut labelled = hub("vault", minimal_spec());
    labelled["metadata"]["labels"] = json!({ "team": "blue", "other": "red" });
    let found = differences_with(&applied().await, &labelled, &defaults).await.expect("differences");
    assert!(found.text.contains("~ Service vault-metrics\n") && found.text.contains("team: blue"), "{}", found.text);
    assert!(!found.text.contains("red"), "{}", found.text);
}

#[tokio::test]
async fn diff_with_a_missing_reference_reports_it() {
    let found = differences(&applied().await, &hub("vault", with_signing_keys("missing"))).await.expect("an answer");
    assert!(found.blocked && !found.changes);
    assert!(found.text.contains("! auth.signingKeys: Secret missing does not exist\n"), "{}", found.text);
}

#[tokio::test]
async fn diff_of_an_invalid_file_fails_with_reason() {
    for (yaml, expected) in [
        ("a: [", "not YAML"),
        ("kind: ConfigMap", "no NotificationHub"),
        ("kind: NotificationHub", "metadata.name: not set"),
    ] {
        let error = diff(&FakeApi::new().client(), yaml, None, &defaults()).await.expect_err("nothing to compare");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn diff_of_a_malformed_file_does_not_quote_it() {
    let yaml = "kind: Secret\nstringData:\n  password: TOP-SECRET\n  broken: [\n---\nkind: NotificationHub\n";
    let error = diff(&FakeApi::new().client(), yaml, None, &defaults()).await.expect_err("no YAML").to_string();
    assert!(error.contains("not YAML") && !error.contains("SECRET"), "{error}");
}
