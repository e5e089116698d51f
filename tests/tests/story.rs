//! A hub in a real Kubernetes cluster: from `helm install` to a push at Microsoft's client, then repair, keys, scaling and
//! deletion. Each test has its own namespace.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{folder, run};
use notification_hub_tests::deployed::{
    check_delivery, connect, folder_update, generated_signer, printer_columns, send,
};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::programs;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use uuid::Uuid;

/// The kinds of all direct and indirect children of a hub.
const OWNED: &str = "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,serviceaccounts";

/// The kinds that the operator itself writes.
const WRITTEN: &str = "deployments,services,configmaps,secrets,serviceaccounts";

/// The timeout of the garbage collector, which needs up to 30 seconds to discover a new kind.
const GARBAGE_COLLECTION_TIMEOUT: Duration = Duration::from_secs(120);

#[test]
fn push_reaches_its_client_in_a_cluster() {
    namespace::with_namespace("push", |namespace| {
        let sample = folder().join("../crds/samples/minimal.yaml");
        namespace
            .cluster
            .kubectl_with(&["-n", &namespace.name, "apply", "-f", "-"], &std::fs::read_to_string(sample)?)?;
        namespace.wait_ready("vault")?;

        let status = namespace.get("notificationhub", "vault")?["status"].clone();
        let (public, internal) = (namespace.endpoint("vault", 5000)?, namespace.endpoint("vault-internal", 5001)?);
        if !namespace.cluster.is_current_context() {
            ensure!(status["url"] == public.url && status["sendURL"] == internal.url, "other addresses: {status}");
        }

        // As an administrator does it: the key from the Secret, the token from the command line.
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("private.pem");
        std::fs::write(&key, namespace.secret("vault-jwt", "private.pem")?)?;
        let key = key.to_str().context("a path that is not UTF-8")?;
        let program = programs::find("notification-hub")?;
        let token = |who: &[&str]| -> Result<String> {
            let printed = run(std::process::Command::new(&program).args(["token", "--key", key]).args(who))?;
            Ok(printed.trim().to_owned())
        };
        let internal_token = token(&["--scope", "internal"])?;
        for (protocol, [kind, payload, id, owner]) in
            [("json", ["type", "payload", "id", "userId"]), ("messagepack", ["Type", "Payload", "Id", "UserId"])]
        {
            let [user, other] = [(); 2].map(|()| Uuid::new_v4().to_string());
            let theirs = connect(namespace, &public, &token(&["--user", &user])?, protocol)?;
            let others = connect(namespace, &public, &token(&["--user", &other])?, protocol)?;
            let cipher = Uuid::new_v4().to_string();
            let push = ["push", "--url", &internal.url, "--token", &internal_token, "--type", "SyncCipherUpdate"];
            let members = json!({"id": cipher, "collectionIds": []}).to_string();
            let mut command = namespace.cluster.command(&program);
            run(command.args(push).args(["--user", &user, "--payload", &members]))?;
            let received = theirs.notification(|notification| notification[payload][id] == *cipher)?;
            ensure!(received[kind] == 0 && received[payload][owner] == *user, "received {received}");

            // The first push to the other user must be this one.
            let folder = Uuid::new_v4().to_string();
            let sent = send(namespace, &internal, &internal_token, &folder_update(&other, &folder))?;
            ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
            others.notification(|notification| notification[payload][id] == *folder)?;
            let counts = (theirs.push_count_without_syncs(), others.push_count_without_syncs());
            ensure!(counts == (1, 1), "{:?} and {:?}", theirs.lines(), others.lines());
        }

        let stranger = Signer::secret(b"a secret that the hub has never heard of").sign(&token::internal())?;
        for (bad, expected) in
            [("", 401), (stranger.as_str(), 401), (&token(&["--user", &Uuid::new_v4().to_string()])?, 403)]
        {
            let refused = send(namespace, &internal, bad, &folder_update("", ""))?;
            ensure!(refused.status == expected, "{} instead of {expected} for {bad:?}", refused.status);
        }
        Ok(())
    });
}

#[test]
fn deleted_deployment_and_service_selector_edit_are_reverted() {
    namespace::with_namespace("repair", |namespace| {
        apply_ready(namespace, &hub("vault", json!({"generate": {}})))?;
        let pod = namespace.pod("vault")?;

        let deployed = namespace.get("deployment", "vault")?;
        namespace.kubectl(&["delete", "deployment", "vault"])?;
        until("the Deployment is back", CLUSTER_TIMEOUT, || {
            let again = namespace.get("deployment", "vault")?;
            ensure!(again["metadata"]["uid"] != deployed["metadata"]["uid"], "the old one is still there");
            Ok(())
        })?;
        until("a new pod", CLUSTER_TIMEOUT, || {
            ensure!(namespace.pod("vault")?["metadata"]["uid"] != pod["metadata"]["uid"], "the old one is still there");
            Ok(())
        })?;
        namespace.wait_condition("vault", "Ready", "True", "Available")?;

        let service = namespace.get("service", "vault")?;
        let elsewhere = json!({"spec": {"selector": {"app.kubernetes.io/instance": "elsewhere"}}}).to_string();
        namespace.kubectl(&["patch", "service", "vault", "--type=merge", "-p", &elsewhere])?;
        until("the Service is repaired", CLUSTER_TIMEOUT, || {
            let now = namespace.get("service", "vault")?;
            ensure!(
                now["metadata"]["resourceVersion"] != service["metadata"]["resourceVersion"],
                "nobody has edited it"
            );
            ensure!(now["spec"] == service["spec"], "it is {}", now["spec"]);
            Ok(())
        })?;
        // The endpoints of the Service are updated with a delay.
        let key = generated_signer(namespace, "vault")?;
        check_delivery(namespace, "vault", &key)
    });
}

#[test]
fn edited_signing_keys_reach_the_running_hub() {
    namespace::with_namespace("keys", |namespace| {
        let secret = || format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        let (old, new) = (secret(), secret());
        namespace.set_secret("signing", "hub.secret", &old)?;
        apply_ready(namespace, &hub("vault", json!({"signingKeys": {"secretRef": {"name": "signing"}}})))?;
        let pod = namespace.pod("vault")?;
        let [old, new] = [old, new].map(|secret| (Signer::secret(secret.as_bytes()), secret));
        check_delivery(namespace, "vault", &old.0)?;
        let internal = namespace.endpoint("vault-internal", 5001)?;
        let answer = |signer: &Signer| -> Result<u16> {
            let push = folder_update(&Uuid::new_v4().to_string(), &Uuid::new_v4().to_string());
            Ok(send(namespace, &internal, &signer.sign(&token::internal())?, &push)?.status)
        };
        ensure!(answer(&new.0)? == 401, "a key that is not there yet is accepted");

        namespace.set_secret("signing", "hub.secret", &new.1)?;
        // A kubelet may take two minutes. Those of the tests are faster.
        until("the new key is accepted", Duration::from_secs(180), || {
            let status = answer(&new.0)?;
            ensure!(status == 200, "the answer is {status}");
            Ok(())
        })?;
        ensure!(answer(&old.0)? == 401, "the old key is still accepted");
        check_delivery(namespace, "vault", &new.0)?;
        let now = namespace.pod("vault")?;
        ensure!(now["metadata"]["uid"] == pod["metadata"]["uid"], "another pod");
        ensure!(now["status"]["containerStatuses"][0]["restartCount"] == 0, "restarted: {}", now["status"]);
        Ok(())
    });
}

#[test]
fn scale_subresource_scales_to_zero_and_back() {
    namespace::with_namespace("scale", |namespace| {
        apply_ready(namespace, &hub("vault", json!({"generate": {}})))?;
        ensure!(printer_columns(namespace)? == ["vault", "True", "1", "Direct"], "{:?}", printer_columns(namespace)?);

        namespace.kubectl(&["scale", "notificationhub/vault", "--replicas=0", "--current-replicas=1"])?;
        namespace.wait_condition("vault", "Ready", "True", "ScaledToZero")?;
        until("no pod is left", CLUSTER_TIMEOUT, || {
            let pods = namespace.children("pods", "vault")?;
            ensure!(pods.is_empty(), "{} are", pods.len());
            Ok(())
        })?;
        ensure!(printer_columns(namespace)? == ["vault", "True", "0", "Direct"], "{:?}", printer_columns(namespace)?);

        namespace.kubectl(&["scale", "notificationhub/vault", "--replicas=1", "--current-replicas=0"])?;
        namespace.wait_condition("vault", "Ready", "True", "Available")?;
        check_delivery(namespace, "vault", &generated_signer(namespace, "vault")?)
    });
}

#[test]
fn unchanged_children_are_not_written() {
    namespace::with_namespace("still", |namespace| {
        apply_ready(namespace, &hub("vault", json!({"generate": {}})))?;
        let versions = || -> Result<Vec<String>> {
            let mut objects = namespace.children(WRITTEN, "vault")?;
            objects.push(namespace.get("notificationhub", "vault")?);
            objects.retain(|object| object["metadata"]["name"] != "vault-metrics");
            let version = |object: &Value| format!("{} {}", object["kind"], object["metadata"]);
            let mut versions: Vec<_> = objects.iter().map(version).collect();
            versions.sort();
            Ok(versions)
        };
        let before = versions()?;
        ensure!(
            before.len() == 7,
            "the hub, its Deployment, two Services, ConfigMap, Secret and ServiceAccount: {before:?}"
        );
        // Each repair of an edited Service proves that a reconcile is complete.
        let service = namespace.get("service", "vault-metrics")?;
        for port in [1, 2, 3] {
            let bent = json!({"spec": {"ports": [{"name": "admin", "port": 9090, "targetPort": port}]}}).to_string();
            namespace.kubectl(&["patch", "service", "vault-metrics", "--type=merge", "-p", &bent])?;
            until("another pass", CLUSTER_TIMEOUT, || {
                ensure!(namespace.get("service", "vault-metrics")?["spec"] == service["spec"], "not yet");
                Ok(())
            })?;
        }
        let after = versions()?;
        ensure!(before == after, "before: {before:#?}\nafter: {after:#?}");
        Ok(())
    });
}

#[test]
fn missing_secret_is_reported_until_it_exists() {
    namespace::with_namespace("missing", |namespace| {
        namespace.apply(&hub("vault", json!({"signingKeys": {"secretRef": {"name": "absent"}}})))?;
        let message = namespace.wait_condition("vault", "ReferencesResolved", "False", "SecretNotFound")?;
        ensure!(message.contains("absent"), "which one? {message}");
        namespace.wait_condition("vault", "Ready", "False", "ReferencesMissing")?;

        namespace.set_secret("absent", "hub.secret", "short")?;
        let message = namespace.wait_condition("vault", "ReferencesResolved", "False", "InvalidKey")?;
        ensure!(message.contains("hub.secret"), "which entry? {message}");

        let secret = "a secret that is long enough for HS256";
        namespace.set_secret("absent", "hub.secret", secret)?;
        namespace.wait_ready("vault")?;
        check_delivery(namespace, "vault", &Signer::secret(secret.as_bytes()))
    });
}

#[test]
fn foreign_service_is_a_conflict_and_unchanged() {
    namespace::with_namespace("foreign", |namespace| {
        let ports = json!([{"port": 80}]);
        namespace.apply(&json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "vault-internal"},
            "spec": {"selector": {"app": "somebody-else"}, "ports": ports},
        }))?;
        let theirs = namespace.get("service", "vault-internal")?;
        namespace.apply(&hub("vault", json!({"generate": {}})))?;
        let message = namespace.wait_condition("vault", "Conflict", "True", "ForeignObject")?;
        ensure!(message.contains("vault-internal"), "which one? {message}");
        namespace.wait_condition("vault", "Ready", "False", "Conflict")?;
        ensure!(namespace.get("service", "vault-internal")? == theirs, "the foreign Service was changed");

        namespace.kubectl(&["delete", "service", "vault-internal"])?;
        namespace.wait_ready("vault")?;
        check_delivery(namespace, "vault", &generated_signer(namespace, "vault")?)
    });
}

#[test]
fn rollout_restart_replaces_the_pod_and_is_kept() {
    namespace::with_namespace("restart", |namespace| {
        apply_ready(namespace, &hub("vault", json!({"generate": {}})))?;
        let key = generated_signer(namespace, "vault")?;
        let (pod, public) = (namespace.pod("vault")?, namespace.endpoint("vault", 5000)?);
        let user = token::user(&Uuid::new_v4().to_string(), &[], "ChromeBrowser", "device");
        let client = connect(namespace, &public, &key.sign(&user)?, "messagepack")?;

        namespace.kubectl(&["rollout", "restart", "deployment/vault"])?;
        namespace.kubectl(&["rollout", "status", "deployment/vault", "--timeout=90s"])?;
        client.wait_closed()?;
        until("one new pod", CLUSTER_TIMEOUT, || {
            ensure!(namespace.pod("vault")?["metadata"]["uid"] != pod["metadata"]["uid"], "the old one is still there");
            Ok(())
        })?;
        namespace.wait_condition("vault", "Ready", "True", "Available")?;
        check_delivery(namespace, "vault", &key)?;
        let template = &namespace.get("deployment", "vault")?["spec"]["template"]["metadata"]["annotations"];
        ensure!(template["kubectl.kubernetes.io/restartedAt"].is_string(), "the restart was undone: {template}");
        Ok(())
    });
}

#[test]
fn deleted_hub_removes_every_owned_object() {
    namespace::with_namespace("gone", |namespace| {
        apply_ready(namespace, &hub("vault", json!({"generate": {}})))?;
        let kinds =
            |objects: &[Value]| -> Vec<String> { objects.iter().map(|object| object["kind"].to_string()).collect() };
        let owned = namespace.children(OWNED, "vault")?;
        ensure!(owned.len() >= 12, "three Services with their slices and one of each other kind: {:?}", kinds(&owned));
        namespace.kubectl(&["delete", "notificationhub", "vault"])?;
        until("everything is gone", GARBAGE_COLLECTION_TIMEOUT, || {
            let left = namespace.children(OWNED, "vault")?;
            ensure!(left.is_empty(), "left: {:?}", kinds(&left));
            Ok(())
        })
    });
}

/// Returns a hub with one replica and an `auth` field.
fn hub(name: &str, auth: Value) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": name},
        "spec": {"replicas": 1, "source": {"direct": {}}, "auth": auth},
    })
}

fn apply_ready(namespace: &Namespace, hub: &Value) -> Result<()> {
    namespace.apply(hub)?;
    namespace.wait_ready(hub["metadata"]["name"].as_str().context("no name")?)
}
