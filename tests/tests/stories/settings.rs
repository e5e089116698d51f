//! Spec fields for tokens, Redis, catch-up and the image, checked at a running hub in a real Kubernetes cluster.

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{Endpoint, run};
use notification_hub_tests::deployed::{check_delivery, connect, folder_update, generated_signer, send, upgrade};
use notification_hub_tests::keys::SigningKey;
use notification_hub_tests::listener::Listener;
use notification_hub_tests::namespace::{self, Namespace};
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::{identity_pod, install, redis_pod};
use serde_json::{Value, json};
use uuid::Uuid;

const HUB: &str = "vault";

fn hub(spec: &Value) -> Value {
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB}, "spec": spec,
    })
}

#[test]
fn identity_server_tokens_are_validated_by_spec_auth() {
    namespace::with_namespace("identity", |namespace| {
        const ISSUER: &str = "https://identity.example.com";
        let (key, installation) = (SigningKey::rs256()?, Uuid::new_v4().to_string());
        let authority = identity_pod::start(namespace, "http://another-name", &key.jwks)?;
        namespace.apply(&hub(&json!({
            "replicas": 1, "source": {"direct": {}}, "installationID": installation, "catchUp": {"enabled": false},
            "auth": {"authority": authority, "issuer": ISSUER, "audiences": ["api", "push"], "clockSkew": "1m"},
        })))?;
        namespace.wait_ready(HUB)?;
        let (public, internal) = (namespace.endpoint(HUB, 5000)?, namespace.endpoint("vault-internal", 5001)?);
        let signer = key.signer()?;
        let with = |mut claims: Value, more: &[(&str, Value)]| {
            (claims["iss"], claims["aud"]) = (json!(ISSUER), json!("api"));
            more.iter().for_each(|(name, value)| claims[*name] = value.clone());
            signer.sign(&claims)
        };
        let user = Uuid::new_v4().to_string();
        let claims = || token::user(&user, &[], "ChromeBrowser", "device");
        let ago = |seconds: u64| json!(token::now() - seconds);
        for (what, more, expected) in [
            ("a good one", vec![], 101),
            ("the other audience", vec![("aud", json!(["push", "more"]))], 101),
            ("one that is over, as clocks differ", vec![("nbf", ago(3600)), ("exp", ago(10))], 101),
            ("one that is over", vec![("nbf", ago(3600)), ("exp", ago(90))], 401),
            ("the issuer's other name", vec![("iss", json!("http://another-name"))], 401),
            ("another audience", vec![("aud", json!("more"))], 401),
        ] {
            let (status, _) = upgrade(namespace, &public, &with(claims(), &more)?, "")?;
            ensure!(status == expected, "{what}: {status} instead of {expected}");
        }

        // Without catch-up a reconnecting client receives no sync. A push to the installation reaches it.
        let sender = with(token::internal(), &[])?;
        let push = |push: Value| -> Result<()> {
            let sent = send(namespace, &internal, &sender, &push)?;
            ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
            Ok(())
        };
        let client = || connect(namespace, &public, &with(claims(), &[])?, "json");
        client()?.stop()?;
        push(folder_update(&user, &Uuid::new_v4().to_string()))?;
        let back = client()?;
        let (id, date) = (Uuid::new_v4().to_string(), "2026-01-02T03:04:05Z");
        push(json!({"type": 20, "contextId": null, "payload": {
            "id": id, "priority": 0, "global": true, "clientType": 0, "installationId": installation,
            "creationDate": date, "revisionDate": date,
        }}))?;
        let first = back.notification(|_| true)?;
        ensure!(first["payload"]["installationId"] == *installation, "{first}");
        Ok(())
    });
}

#[test]
fn redis_with_tls_acl_and_channel_prefix_connects_replicas() {
    namespace::with_namespace("tls", |namespace| {
        // The ACL permits only channels with this prefix.
        redis_pod::start_with_tls(namespace, "vault")?;
        let of_redis = |key: &str| json!({"secretKeyRef": {"name": "redis", "key": key}});
        namespace.apply(&hub(&json!({
            "replicas": 2, "source": {"direct": {}}, "auth": {"generate": {}},
            "drain": {"duration": "3s"}, "rollout": {"maxSurge": 1}, "catchUp": {"enabled": true, "window": "90m"},
            "backplane": {"redis": {
                "url": of_redis("url"), "username": "hub", "password": of_redis("password"), "ca": of_redis("ca"),
                "channelPrefix": "vault",
            }},
        })))?;
        namespace.wait_ready(HUB)?;
        let (key, user) = (generated_signer(namespace, HUB)?, Uuid::new_v4().to_string());
        let pod_endpoints = |port: u16| -> Result<Vec<Endpoint>> {
            let pods = namespace.running_pods(HUB)?;
            pods.iter().map(|pod| namespace.cluster.pod_endpoint(pod, port)).collect()
        };
        let client = |endpoint: &Endpoint| {
            let claims = token::user(&user, &[], "ChromeBrowser", "device");
            Listener::connect(namespace.cluster.command("node"), &endpoint.url, &key.sign(&claims)?, "json", &[])
        };
        let push = |endpoint: &Endpoint| -> Result<String> {
            let folder = Uuid::new_v4().to_string();
            let sent = send(namespace, endpoint, &key.sign(&token::internal())?, &folder_update(&user, &folder))?;
            ensure!(sent.status == 200, "the answer is {}: {}", sent.status, sent.text());
            Ok(folder)
        };
        let (public, internal) = (pod_endpoints(5000)?, pod_endpoints(5001)?);
        let ([one, other], [_, of_other]) = (&public[..], &internal[..]) else { anyhow::bail!("no two pods") };
        let listening = client(one)?;
        let folder = push(of_other)?;
        listening.notification(|push| push["payload"]["id"] == *folder)?;
        listening.stop()?;
        push(of_other)?;
        client(other)?.notification(|push| push["type"] == 5)?;
        ensure!(setting(namespace, "catch_up.window")? == "5400s", "{}", setting(namespace, "catch_up.window")?);

        let deployment = namespace.get("deployment", HUB)?["spec"].clone();
        ensure!(deployment["strategy"]["rollingUpdate"]["maxSurge"] == 1, "{}", deployment["strategy"]);
        namespace.kubectl(&["rollout", "restart", "deployment/vault"])?;
        namespace.kubectl(&["rollout", "status", "deployment/vault", "--timeout=90s"])?;
        namespace.wait_condition(HUB, "Ready", "True", "Available")?;
        check_delivery(namespace, HUB, &key)
    });
}

/// Returns the value of a setting in a hub's pod.
fn setting(namespace: &Namespace, key: &str) -> Result<String> {
    let program = ["--", "/usr/local/bin/notification-hub", "check-config", "--json"];
    let output = namespace.kubectl(&[&["exec", "deployment/vault"][..], &program[..]].concat())?;
    let settings: Value = serde_json::from_str(&output)?;
    settings[key]["value"].as_str().map(str::to_owned).with_context(|| format!("no {key}: {output}"))
}

/// A script that adds a name with the digest to an image of the node, and prints the digest.
const NAME_BY_DIGEST: &str = r#"
images=(ctr --address "${KUBECONFIG%/*}/containerd.sock" --namespace k8s.io images)
digest=$("${images[@]}" ls "name==$0" | grep -o 'sha256:[0-9a-f]*')
"${images[@]}" tag --force "$0" "$1@$digest" > /dev/null
echo "$digest""#;

#[test]
fn pods_run_the_image_of_the_spec() {
    namespace::with_namespace("image", |namespace| {
        let secret = format!("{}{}", Uuid::new_v4(), Uuid::new_v4());
        namespace.set_secret("signing", "hub.secret", &secret)?;
        let run_by = |image: Value, name: &str| {
            let pull = image["pullPolicy"].clone();
            namespace.apply(&hub(&json!({
                "replicas": 1, "source": {"direct": {}}, "image": image,
                "auth": {"signingKeys": {"secretRef": {"name": "signing"}}},
            })))?;
            namespace.wait_condition(HUB, "Ready", "True", "Available")?;
            let reported = namespace.get("notificationhub", HUB)?["status"]["image"].clone();
            let pod = namespace.get("deployment", HUB)?["spec"]["template"]["spec"].clone();
            let container = &pod["containers"][0];
            ensure!(
                reported == name && container["image"] == name && container["imagePullPolicy"] == pull,
                "{reported}: {pod}"
            );
            check_delivery(namespace, HUB, &Signer::secret(secret.as_bytes()))?;
            Ok(pod)
        };
        let image = install::image_name(namespace.cluster, "HUB_IMAGE", "nhub.test/hub:test")?;
        let (repository, tag) = image.rsplit_once(':').context("no tag")?;
        run_by(json!({"repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"}), &image)?;
        if namespace.cluster.is_current_context() {
            return Ok(());
        }
        let mirror = "nhub.test/mirror/hub";
        let digest = run(namespace.cluster.command("bash").args(["-euc", NAME_BY_DIGEST, &image, mirror]))?;
        let (digest, secrets) = (digest.trim(), json!([{"name": "registry"}]));
        let by_digest = json!({
            "repository": mirror, "tag": "elsewhere", "digest": digest, "pullPolicy": "Never", "pullSecrets": secrets,
        });
        let pod = run_by(by_digest, &format!("{mirror}:elsewhere@{digest}"))?;
        ensure!(pod["imagePullSecrets"] == secrets, "{pod}");
        Ok(())
    });
}
