//! The custom resource in a real API server: every case of `crds/tests/rules.yaml`, every sample, and the commands of
//! `docs/resource.md`.

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::{folder, run};
use notification_hub_tests::namespace;
use notification_hub_tests::pages;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
/// A case of `rules.yaml`.
struct Case {
    name: String,
    /// A part of the error message, or `None` if the manifest is valid.
    refused: Option<String>,
    manifest: Value,
}

#[test]
fn api_server_accepts_or_rejects_every_case_as_expected() {
    namespace::with_namespace("rules", |namespace| {
        let text = std::fs::read_to_string(folder().join("../crds/tests/rules.yaml"))?;
        let cases: Vec<Case> = serde_saphyr::from_str(&text)?;
        ensure!(!cases.is_empty(), "no case in the table");
        let apply = |case: &Case| -> Result<String> {
            let arguments = ["-n", &namespace.name, "apply", "--dry-run=server", "-f", "-"];
            namespace.cluster.kubectl_with(&arguments, &case.manifest.to_string())
        };
        let wrong: Vec<String> = cases
            .iter()
            .filter_map(|case| match (apply(case), &case.refused) {
                (Ok(_), None) => None,
                (Ok(_), Some(expected)) => Some(format!("{}: accepted, not refused with {expected:?}", case.name)),
                (Err(error), Some(expected)) if format!("{error:#}").contains(expected.as_str()) => None,
                (Err(error), expected) => Some(format!("{}: expected {expected:?}, got {error:#}", case.name)),
            })
            .collect();
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
        eprintln!("{} cases", cases.len());
        Ok(())
    });
}

#[test]
fn spec_object_can_be_emptied_by_apply() {
    let spec = |more: &Value| {
        let mut spec = json!({
            "source": {"direct": {}}, "auth": {"generate": {}}, "networkPolicy": {"enabled": true},
            "backplane": {"redis": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}},
        });
        for (field, value) in more.as_object().into_iter().flatten() {
            spec[field] = value.clone();
        }
        // Paused, so that the operator creates no children.
        let metadata = json!({"name": "vault", "annotations": {"notificationhub.rs/paused": "true"}});
        json!({"apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": metadata, "spec": spec})
    };
    let table = [
        (json!({"source": {"direct": {"allowFrom": [{"podSelector": {}}]}}}), json!({"source": {"direct": {}}})),
        (json!({"auth": {"generate": {"algorithm": "ES256"}}}), json!({"auth": {"generate": {}}})),
        (json!({"limits": {"maxConnections": 5}}), json!({"limits": {}})),
        (json!({"log": {"level": "info"}}), json!({"log": {}})),
        (json!({"drain": {"duration": "5s"}}), json!({"drain": {}})),
        (json!({"rollout": {"maxSurge": 1}}), json!({"rollout": {}})),
        (json!({"catchUp": {"enabled": true}}), json!({"catchUp": {}})),
        (json!({"image": {"tag": "1"}}), json!({"image": {}})),
        (json!({"service": {"labels": {"a": "b"}}}), json!({"service": {"labels": {}}})),
        (json!({"service": {"labels": {}}}), json!({"service": {}})),
        (json!({"expose": {"ingress": {"host": "a.example"}}}), json!({"expose": {"ingress": {}}})),
        (json!({"expose": {"ingress": {}}}), json!({"expose": {"httpRoute": {"parentRefs": [{"name": "a"}]}}})),
        (json!({"monitoring": {"podMonitor": {"enabled": true}}}), json!({"monitoring": {}})),
        (
            json!({"autoscaling": {"maxReplicas": 2, "keda": {"triggers": [{"type": "cpu"}]}}}),
            json!({"autoscaling": {"maxReplicas": 2, "keda": {}}}),
        ),
        (json!({"podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}}), json!({"podTemplate": {}})),
    ];
    namespace::with_namespace("emptied", |namespace| {
        for (before, after) in &table {
            namespace.apply(&spec(before))?;
            namespace.apply(&spec(after)).with_context(|| format!("from {before} to {after}"))?;
        }
        Ok(())
    });
}

#[test]
fn api_server_accepts_every_sample() {
    namespace::with_namespace("samples", |namespace| {
        let samples = folder().join("../crds/samples");
        let samples = samples.to_str().context("a path that is not UTF-8")?;
        // Strict validation also rejects unknown fields.
        let taken = namespace.kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", samples])?;
        let files = std::fs::read_dir(samples)?.count();
        ensure!(taken.lines().count() == files && files > 10, "{files} samples: {taken}");
        Ok(())
    });
}

#[test]
fn resource_page_commands_succeed() {
    namespace::with_namespace("fields", |namespace| {
        let sample = folder().join("../crds/samples/minimal.yaml");
        namespace.kubectl(&["apply", "-f", sample.to_str().context("a path that is not UTF-8")?])?;
        namespace.wait_ready("vault")?;
        let page = std::fs::read_to_string(folder().join("../docs/resource.md"))?;
        let here = |commands: &str| {
            let script = format!("kubectl() {{ command kubectl -n {} \"$@\"; }}\n{commands}", namespace.name);
            run(namespace.cluster.command("bash").args(["-euc", &script]))
        };
        // kubectl wraps lines.
        let explained = here(pages::block(&page, "explain")?)?.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in ["installationID", "rotationInterval", "Defaults to `720h`", "nextRotationTime"] {
            ensure!(explained.contains(part), "{part} is not in {explained}");
        }
        let shown = here(pages::block(&page, "addresses")?)?;
        ensure!(shown.contains("http://vault-internal."), "{shown}");
        Ok(())
    });
}
