//! Operation of a running hub in a real Kubernetes cluster: pause, key rotation, connection counts, limits, log settings, the
//! operator's `diff` and `check-permissions`.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{run, run_with};
use notification_hub_tests::deployed::{check_delivery, connect, folder_update, generated_signer, send, upgrade};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use notification_hub_tests::{install, programs};
use serde_json::{Value, json};
use uuid::Uuid;

/// The timeout of an update that takes minutes: connection counts are updated once a minute, and mounted Secrets within two.
const SLOW_UPDATE_TIMEOUT: Duration = Duration::from_secs(180);

/// The timeout of the garbage collector, which needs up to 30 seconds to discover a new kind.
const GARBAGE_COLLECTION_TIMEOUT: Duration = Duration::from_secs(90);

const PAUSED: &str = "notificationhub.rs/paused";

fn hub() -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": "vault"},
        "spec": {"replicas": 1, "source": {"direct": {}}, "auth": {"generate": {}}},
    })
}

fn check_gone(namespace: &Namespace, kinds: &str) -> Result<()> {
    let left = namespace.children(kinds, "vault")?;
    ensure!(left.is_empty(), "{} are left", left.len());
    Ok(())
}

#[test]
fn paused_hub_applies_no_change_and_can_be_deleted() {
    namespace::with_namespace("paused", |namespace| {
        const KINDS: &str = "deployments,services,configmaps,secrets,serviceaccounts";
        let mut first = hub();
        first["metadata"]["annotations"] = json!({PAUSED: "true"});
        namespace.apply(&first)?;
        namespace.wait_condition("vault", "Ready", "False", "Paused")?;
        check_gone(namespace, KINDS)?;
        namespace.kubectl(&["annotate", "notificationhub/vault", &format!("{PAUSED}-")])?;
        namespace.wait_ready("vault")?;

        namespace.kubectl(&["annotate", "notificationhub/vault", &format!("{PAUSED}=true")])?;
        namespace.wait_condition("vault", "Paused", "True", "Paused")?;
        let deployment = namespace.get("deployment", "vault")?;
        namespace.kubectl(&["scale", "notificationhub/vault", "--replicas=0"])?;
        let message = namespace.wait_condition("vault", "Ready", "False", "Paused")?;
        ensure!(message.ends_with("pending changes: Deployment vault"), "it says: {message}");
        let now = namespace.get("deployment", "vault")?;
        ensure!(now["metadata"]["generation"] == deployment["metadata"]["generation"], "it was changed: {now}");

        namespace.kubectl(&["delete", "notificationhub", "vault"])?;
        until("everything is gone", GARBAGE_COLLECTION_TIMEOUT, || check_gone(namespace, KINDS))
    });
}

#[test]
fn key_rotation_keeps_clients_connected() {
    namespace::with_namespace("rotation", |namespace| {
        namespace.apply(&hub())?;
        namespace.wait_ready("vault")?;
        let pod = namespace.pod("vault")?;
        let old = generated_signer(namespace, "vault")?;
        let user = Uuid::new_v4().to_string();
        let client = {
            let claims = token::user(&user, &[], "ChromeBrowser", "device");
            connect(namespace, &namespace.endpoint("vault", 5000)?, &old.sign(&claims)?, "messagepack")?
        };
        let keys = || -> Result<usize> {
            let jwks: Value = serde_json::from_slice(&namespace.secret("vault-jwt", "jwks.json")?)?;
            Ok(jwks["keys"].as_array().context("no keys")?.len())
        };
        ensure!(keys()? == 1, "{} keys from the start", keys()?);

        // The rotation depends on the recorded times, which the test sets back.
        let turn_back = |field: &str| -> Result<()> {
            let mut record: Value = serde_json::from_slice(&namespace.secret("vault-jwt", "rotation.json")?)?;
            record[field] = json!("2020-01-01T00:00:00Z");
            let patch = json!({"stringData": {"rotation.json": record.to_string()}}).to_string();
            namespace.kubectl(&["patch", "secret", "vault-jwt", "--type=merge", "-p", &patch]).map(drop)
        };
        turn_back("lastRotationTime")?;
        until("the next key is published", CLUSTER_TIMEOUT, || {
            ensure!(keys()? == 2, "{} keys", keys()?);
            Ok(())
        })?;
        let next = namespace.secret("vault-jwt", "next-private.pem")?;
        turn_back("nextPublished")?;
        until("the next key is the current one", CLUSTER_TIMEOUT, || {
            ensure!(namespace.secret("vault-jwt", "private.pem")? == next, "not yet");
            Ok(())
        })?;
        // A kubelet updates a mounted Secret within two minutes. Those of the tests are faster.
        let new = generated_signer(namespace, "vault")?;
        let internal = namespace.endpoint("vault-internal", 5001)?;
        let answer = |key: &Signer| -> Result<u16> {
            let push = folder_update(&Uuid::new_v4().to_string(), &Uuid::new_v4().to_string());
            Ok(send(namespace, &internal, &key.sign(&token::internal())?, &push)?.status)
        };
        until("the new key is accepted", SLOW_UPDATE_TIMEOUT, || {
            let status = answer(&new)?;
            ensure!(status == 200, "the answer is {status}");
            Ok(())
        })?;
        check_delivery(namespace, "vault", &new)?;
        check_delivery(namespace, "vault", &old)?;
        let folder = Uuid::new_v4().to_string();
        let sent = send(namespace, &internal, &old.sign(&token::internal())?, &folder_update(&user, &folder))?;
        ensure!(sent.status == 200, "the answer is {}", sent.status);
        client.notification(|notification| notification["Payload"]["Id"] == *folder)?;
        ensure!(namespace.pod("vault")?["metadata"]["uid"] == pod["metadata"]["uid"], "another pod");
        let status = namespace.get("notificationhub", "vault")?["status"]["keys"].clone();
        ensure!(status["lastRotationTime"].as_str().is_some_and(|time| !time.starts_with("2020")), "it says {status}");

        let times = json!({"spec": {"auth": {"generate": {"overlap": "1s", "rotationInterval": "48h"}}}}).to_string();
        namespace.kubectl(&["patch", "notificationhub", "vault", "--type=merge", "-p", &times])?;
        until("the old key is not accepted any more", SLOW_UPDATE_TIMEOUT, || {
            ensure!(keys()? == 1, "{} keys", keys()?);
            let status = answer(&old)?;
            ensure!(status == 401, "the answer is {status}");
            Ok(())
        })?;
        let status = namespace.get("notificationhub", "vault")?["status"]["keys"].clone();
        let [last, next] = ["lastRotationTime", "nextRotationTime"].map(|time| seconds(&status[time]));
        ensure!(next? - last? == 48 * 3600, "it says {status}");
        Ok(())
    });
}

/// Returns a time of a status in Unix seconds.
fn seconds(time: &Value) -> Result<u64> {
    let time = time.as_str().context("no time")?;
    Ok(run(Command::new("date").args(["--date", time, "+%s"]))?.trim().parse()?)
}

#[test]
fn status_connections_follows_connected_clients() {
    namespace::with_namespace("clients", |namespace| {
        namespace.apply(&hub())?;
        namespace.wait_ready("vault")?;
        let key = generated_signer(namespace, "vault")?;
        check_delivery(namespace, "vault", &key)?;
        let public = namespace.endpoint("vault", 5000)?;
        let client = || {
            let claims = token::user(&Uuid::new_v4().to_string(), &[], "ChromeBrowser", "device");
            connect(namespace, &public, &key.sign(&claims)?, "json")
        };
        let clients = [client()?, client()?];
        until("two clients", SLOW_UPDATE_TIMEOUT, || {
            let count = namespace.get("notificationhub", "vault")?["status"]["connections"].clone();
            ensure!(count == 2, "it says {count}");
            Ok(())
        })?;
        drop(clients);
        until("none", SLOW_UPDATE_TIMEOUT, || {
            let count = namespace.get("notificationhub", "vault")?["status"]["connections"].clone();
            ensure!(count == 0, "it says {count}");
            Ok(())
        })
    });
}

#[test]
fn spec_limits_reject_excess_connections() {
    namespace::with_namespace("limits", |namespace| {
        let mut limited = hub();
        limited["spec"]["auth"]["generate"] = json!({"algorithm": "ES256"});
        // The sources of the tests' connections: the node, or `kubectl port-forward` with the current context.
        let proxies = json!(["198.18.0.0/15", "127.0.0.0/8", "::1"]);
        limited["spec"]["limits"] = json!({
            "maxConnections": 3, "maxConnectionsPerUser": 1, "maxConnectionsPerIP": 2, "trustedProxies": proxies,
        });
        namespace.apply(&limited)?;
        namespace.wait_ready("vault")?;
        let (key, public) = (generated_signer(namespace, "vault")?, namespace.endpoint("vault", 5000)?);
        let connect = |user: &str, address: &str| {
            let token = key.sign(&token::user(user, &[], "ChromeBrowser", &Uuid::new_v4().to_string()))?;
            upgrade(namespace, &public, &token, &format!("X-Forwarded-For: {address}\r\n"))
        };
        let [one, two, three, four] = [(); 4].map(|()| Uuid::new_v4().to_string());
        let mut inside = Vec::new();
        for (user, address, expected) in [
            (&one, "203.0.113.1", 101),
            (&one, "203.0.113.2", 429),
            (&two, "203.0.113.1", 101),
            (&three, "203.0.113.1", 429),
            (&three, "203.0.113.2", 101),
            (&four, "203.0.113.3", 503),
        ] {
            let (status, connection) = connect(user, address)?;
            ensure!(status == expected, "{status} instead of {expected} from {address}");
            inside.push(connection);
        }
        drop(inside);
        until("there is room again", CLUSTER_TIMEOUT, || {
            let (status, _) = connect(&four, "203.0.113.3")?;
            ensure!(status == 101, "the answer is {status}");
            Ok(())
        })
    });
}

#[test]
fn log_level_edit_is_live_and_format_edit_rolls_out() {
    const TAKEN: &str = "push published";
    namespace::with_namespace("log", |namespace| {
        let mut quiet = hub();
        quiet["spec"]["log"] = json!({"level": "info", "format": "text"});
        namespace.apply(&quiet)?;
        namespace.wait_ready("vault")?;
        let (key, pod) = (generated_signer(namespace, "vault")?, namespace.pod("vault")?);
        check_delivery(namespace, "vault", &key)?;
        let log = || -> Result<String> {
            let pod = namespace.pod("vault")?;
            namespace.kubectl(&["logs", pod["metadata"]["name"].as_str().context("no name")?])
        };
        ensure!(!log()?.contains(TAKEN), "debug lines are logged: {}", log()?);

        let change = |log: Value| {
            let patch = json!({"spec": {"log": log}}).to_string();
            namespace.kubectl(&["patch", "notificationhub", "vault", "--type=merge", "-p", &patch])
        };
        change(json!({"level": "info,notification_hub::ingest=debug"}))?;
        // A kubelet updates a mounted Secret within two minutes. Those of the tests are faster.
        until("the level has changed", SLOW_UPDATE_TIMEOUT, || {
            ensure!(log()?.contains("log level changed"), "{}", log()?);
            Ok(())
        })?;
        let line = |is_json: bool| {
            until("a line about a push", CLUSTER_TIMEOUT, || {
                check_delivery(namespace, "vault", &key)?;
                let log = log()?;
                let line = log.lines().find(|line| line.contains(TAKEN)).with_context(|| log.clone())?;
                ensure!(serde_json::from_str::<Value>(line).is_ok() == is_json, "{line}");
                ensure!(!log.contains("client connected"), "lines of other modules are logged: {log}");
                Ok(())
            })
        };
        line(false)?;
        let now = namespace.pod("vault")?;
        ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "another pod");
        ensure!(now["status"]["containerStatuses"][0]["restartCount"] == 0, "restarted: {}", now["status"]);

        change(json!({"format": "json"}))?;
        namespace.wait_condition("vault", "Ready", "True", "Available")?;
        until("another pod", CLUSTER_TIMEOUT, || {
            ensure!(namespace.pod("vault")?["metadata"]["uid"] != pod["metadata"]["uid"], "it is the old one");
            Ok(())
        })?;
        line(true)
    });
}

#[test]
fn diff_reports_changes_without_writing() {
    namespace::with_namespace("diff", |namespace| {
        let diff = |hub: &Value| {
            let mut command = namespace.cluster.command(programs::find("notification-hub-operator")?);
            command.args(["diff", "-f", "-", "-n", &namespace.name]);
            let image = install::image_name(namespace.cluster, "HUB_IMAGE", "nhub.test/hub:test")?;
            run_with(command.args(["--hub-image", &image]), &hub.to_string())
        };
        let differences = diff(&hub()).expect_err("there is nothing yet, and everything is a difference").to_string();
        ensure!(differences.contains("exit status: 1"), "{differences}");
        ensure!(namespace.kubectl(&["get", "nhub", "-o", "name"])?.is_empty(), "it was written");

        namespace.apply(&hub())?;
        namespace.wait_ready("vault")?;
        let differences = diff(&hub())?;
        ensure!(differences.lines().count() == 1, "a difference where there is none: {differences}");

        let mut wrong = hub();
        wrong["spec"]["source"] = json!({});
        let error = format!("{:#}", diff(&wrong).expect_err("the API server refuses it"));
        ensure!(error.contains("source must specify exactly one of direct and azureQueue"), "{error}");
        Ok(())
    });
}

#[test]
fn check_permissions_in_the_operator_pod_succeeds() {
    namespace::with_namespace("rights", |namespace| {
        let deployment = format!("deployment/{}", install::RELEASE);
        let program = "/usr/local/bin/notification-hub-operator";
        let exec = ["exec", "-n", install::NAMESPACE, &deployment, "--", program, "check-permissions"];
        let output = namespace.cluster.kubectl(&exec)?;
        ensure!(output.contains("permissions are granted"), "{output}");
        Ok(())
    });
}
