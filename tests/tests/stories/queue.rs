//! Pushes through a queue in a real Kubernetes cluster with Azurite in a pod, and changes of a hub's source while it runs.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::azurite_pod::AzuritePod;
use notification_hub_tests::cluster::folder;
use notification_hub_tests::deployed::{check_delivery, connect, generated_signer, printer_columns};
use notification_hub_tests::namespace::{self, CLUSTER_TIMEOUT, Namespace};
use notification_hub_tests::storage_queue::StorageQueue;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use uuid::Uuid;

/// The kinds of children except pods.
const KINDS: &str = "deployments,services,configmaps,secrets,serviceaccounts";

#[test]
fn queue_source_delivers_and_can_be_switched() {
    namespace::with_namespace("queue", |namespace| {
        let azurite = AzuritePod::start(namespace)?;
        // The Service routes to a pod some time after it is ready.
        until("the queue", CLUSTER_TIMEOUT, || azurite.with_queue(namespace, StorageQueue::create))?;
        let sample = folder().join("../crds/samples/queue.yaml");
        namespace
            .cluster
            .kubectl_with(&["-n", &namespace.name, "apply", "-f", "-"], &std::fs::read_to_string(sample)?)?;
        // The sample names a Secret that does not exist yet.
        let message = namespace.wait_condition("cloud", "ReferencesResolved", "False", "SecretNotFound")?;
        ensure!(message.contains("Secret storage"), "which one? {message}");
        namespace.set_secret("storage", "connectionString", azurite.connection_string())?;
        namespace.wait_ready("cloud")?;
        let key = generated_signer(namespace, "cloud")?;
        check_queue_source(namespace, &azurite)?;
        wait_queue_delivery(namespace, &azurite, &key)?;
        let before = names(namespace)?;

        // A manual edit is reverted, and is not kept by the next change of the source.
        let variable = "NOTIFICATION_HUB__SOURCE__AZURE_QUEUE__CONNECTION_STRING=UseDevelopmentStorage=true";
        wait_repaired(namespace, &["set", "env", "deployment/cloud", variable])?;
        switch(namespace, &json!({"azureQueue": null, "direct": {}}))?;
        let internal = format!("http://cloud-internal.{}.svc:5001", namespace.name);
        let status = namespace.get("notificationhub", "cloud")?["status"].clone();
        ensure!(status["sendURL"] == internal && status["source"] == "Direct", "it is {status}");
        check_delivery(namespace, "cloud", &key)?;
        let path = "/spec/template/spec/containers/0/ports/1/containerPort";
        let number = json!([{"op": "test", "path": path, "value": 5001}, {"op": "replace", "path": path, "value": 80}]);
        wait_repaired(namespace, &["patch", "deployment", "cloud", "--type=json", "-p", &number.to_string()])?;
        azurite.push(namespace, &Uuid::new_v4().to_string())?;
        azurite.with_queue(namespace, |queue| {
            let depth = queue.depth()?;
            ensure!(depth == 1, "{depth} messages in a queue without a receiver");
            Ok(())
        })?;

        let reference = json!({"secretKeyRef": {"name": "storage", "key": "connectionString"}});
        switch(namespace, &json!({"direct": null, "azureQueue": {"connectionString": reference}}))?;
        check_queue_source(namespace, &azurite)?;
        azurite.with_queue(namespace, |queue| queue.wait_empty(CLUSTER_TIMEOUT))?;
        wait_queue_delivery(namespace, &azurite, &key)?;
        ensure!(names(namespace)? == before, "before {before:?}, now {:?}", names(namespace)?);

        // Another queue, and another poison queue.
        azurite.with_queue_named(namespace, "pushes", StorageQueue::create)?;
        switch(namespace, &json!({"azureQueue": {"queueName": "pushes", "poisonQueueName": "misunderstood"}}))?;
        azurite.with_queue_named(namespace, "pushes", |queue| {
            queue.put(&["neither JSON nor Base64"])?;
            queue.wait_empty(CLUSTER_TIMEOUT)
        })?;
        azurite.with_queue_named(namespace, "misunderstood", |queue| {
            let texts = queue.peek()?;
            ensure!(texts.len() == 1 && texts[0].ends_with("\nneither JSON nor Base64"), "{texts:?}");
            Ok(())
        })
    });
}

#[test]
fn workload_identity_is_set_on_service_account_and_pods() {
    // There are no workload identity tokens, so the hub has no pods.
    namespace::with_namespace("workload", |namespace| {
        let (url, id) = ("https://account.queue.core.windows.net", Uuid::new_v4().to_string());
        namespace.apply(&json!({
            "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": "cloud"},
            "spec": {
                "replicas": 0, "auth": {"generate": {}},
                "source": {"azureQueue": {"workloadIdentity": {"accountURL": url, "clientID": id}}},
            },
        }))?;
        namespace.wait_condition("cloud", "Ready", "True", "ScaledToZero")?;
        let account = namespace.get("serviceaccount", "cloud")?["metadata"]["annotations"].clone();
        ensure!(account["azure.workload.identity/client-id"] == *id, "{account}");
        let labels = namespace.get("deployment", "cloud")?["spec"]["template"]["metadata"]["labels"].clone();
        ensure!(labels["azure.workload.identity/use"] == "true", "{labels}");
        let template = &namespace.get("deployment", "cloud")?["spec"]["template"];
        let file = template["metadata"]["annotations"]["notificationhub.rs/config"].clone();
        ensure!(file.as_str().is_some_and(|file| file.contains(url) && file.contains(&id)), "{file}");
        Ok(())
    });
}

/// Waits until a push through the queue reaches Microsoft's client.
fn wait_queue_delivery(namespace: &Namespace, azurite: &AzuritePod, key: &Signer) -> Result<()> {
    let user = Uuid::new_v4().to_string();
    let claims = token::user(&user, &[], "ChromeBrowser", "device");
    let public = namespace.endpoint("cloud", 5000)?;
    let client = connect(namespace, &public, &key.sign(&claims)?, "messagepack")?;
    let cipher = azurite.push(namespace, &user)?;
    let received = client.notification(|notification| notification["Payload"]["Id"] == *cipher)?;
    ensure!(received["Type"] == 0 && received["Payload"]["UserId"] == *user, "received {received}");
    Ok(())
}

/// Checks a hub with a queue source: it has no port for senders, and no public object contains the account key.
fn check_queue_source(namespace: &Namespace, azurite: &AzuritePod) -> Result<()> {
    let columns = printer_columns(namespace)?;
    ensure!(columns == ["cloud", "True", "1", "AzureQueue"], "{columns:?}");
    let status = namespace.get("notificationhub", "cloud")?["status"].clone();
    ensure!(status["sendURL"].is_null(), "the status has an address for senders: {status}");
    let names = names(namespace)?;
    ensure!(!names.contains("Service cloud-internal"), "{names:?}");
    let pod = namespace.pod("cloud")?;
    let ports = &pod["spec"]["containers"][0]["ports"];
    ensure!(!ports.to_string().contains("5001"), "{ports}");
    let config = namespace.get("configmap", "cloud")?;
    ensure!(!format!("{config}{pod}").contains(azurite.key()), "the account key is in a public object");
    Ok(())
}

/// Edits the Deployment with kubectl, and waits until the operator has reverted the edit.
fn wait_repaired(namespace: &Namespace, edit: &[&str]) -> Result<()> {
    let pod = || -> Result<Value> { Ok(namespace.get("deployment", "cloud")?["spec"]["template"]["spec"].clone()) };
    let before = pod()?;
    namespace.kubectl(edit)?;
    until("the Deployment is repaired", CLUSTER_TIMEOUT, || {
        let now = pod()?;
        ensure!(now == before, "it is {now}");
        Ok(())
    })
}

/// Changes the source, and waits until the hub is ready and the old pod is gone.
fn switch(namespace: &Namespace, source: &Value) -> Result<()> {
    let patch = json!({"spec": {"source": source}}).to_string();
    namespace.kubectl(&["patch", "notificationhub", "cloud", "--type=merge", "-p", &patch])?;
    namespace.wait_condition("cloud", "Ready", "True", "Available")?;
    until("the old pod is gone", CLUSTER_TIMEOUT, || {
        let pods = namespace.children("pods", "cloud")?;
        ensure!(pods.len() == 1, "there are {}", pods.len());
        Ok(())
    })
}

/// Returns kind and name of each child of the hub except pods.
fn names(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let objects = namespace.children(KINDS, "cloud")?;
    objects.iter().map(|it| Ok(format!("{} {}", text(&it["kind"])?, text(&it["metadata"]["name"])?))).collect()
}
