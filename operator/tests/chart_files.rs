//! Files that are generated from the chart and the permissions are up to date: the table of values, the manifests for
//! installation without Helm, and the permissions in the security page.
//!
//! `make generated` updates them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use notification_hub_operator::permissions::PERMISSIONS;
use serde_json::Value;

use crate::chart::{chart, rendered_text, tool};

/// Lines before and after a generated part of a page.
const FRAME: [&str; 2] = ["<!-- made by `make generated` -->\n", "<!-- until here -->\n"];

/// Beginning of the manifests: the namespace of the objects of the chart.
const NAMESPACE: &str = "\
# The operator with the chart's own values, for those without Helm. Made by `make generated`.
apiVersion: v1
kind: Namespace
metadata:
  name: notification-hub-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
";

/// Values that enable everything that is disabled by default, without the RBAC rules and the CRD.
const CUSTOMIZED: &[&str] = &[
    "crds.enabled=false",
    "rbac={\"create\":false,\"aggregate\":true}",
    "replicas=2",
    "watchNamespaces=[\"a\",\"b\"]",
    "image={\"registry\":\"mirror:5000\",\"repository\":\"operator\",\"tag\":\"2\",\"pullSecrets\":[\"registry\"]}",
    "hubImage={\"registry\":\"\",\"repository\":\"mirror:5000/hub\",\"tag\":\"2\"}",
    "maxConcurrentRollouts=2",
    "inherited={\"labels\":[\"team\",\"cost.example/*\"],\"annotations\":[\"owner\"]}",
    "serviceAccount={\"create\":true,\"name\":\"operator\",\"annotations\":{\"a\":\"b\"}}",
    "metrics.service={\"enabled\":true,\"labels\":{\"team\":\"a\"},\"annotations\":{\"a\":\"b\"}}",
    "metrics.serviceMonitor={\"enabled\":true,\"labels\":{\"release\":\"prometheus\"},\"interval\":\"30s\"}",
    "metrics.prometheusRule={\"enabled\":true,\"labels\":{\"release\":\"prometheus\"}}",
    "metrics.dashboards={\"enabled\":true,\"annotations\":{\"grafana_folder\":\"Bitwarden\"}}",
    "networkPolicy={\"enabled\":true,\"metricsFrom\":[{\"namespaceSelector\":{\"matchLabels\":{\"team\":\"a\"}}}]}",
    "podLabels={\"team\":\"a\"}",
    "podAnnotations={\"a\":\"b\"}",
    "nodeSelector={\"kubernetes.io/os\":\"linux\"}",
    "tolerations=[{\"key\":\"a\",\"operator\":\"Exists\"}]",
    "affinity={\"nodeAffinity\":{}}",
    "priorityClassName=\"system-cluster-critical\"",
];

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Asserts that a file has this content, or writes it.
fn assert_current(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, expected).expect("it can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is outdated; run make generated", path.display());
}

/// Returns a table with a row for each value without nested values. Each value needs a comment above it.
fn table(values: &str) -> String {
    let mut rows = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    let (mut path, mut comment) = (Vec::<&str>::new(), Vec::new());
    let mut lines = values.lines().skip_while(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 2;
        if let Some(more) = text.strip_prefix("# ") {
            comment.push(more);
            continue;
        }
        let Some((name, value)) = text.split_once(':') else { continue };
        path.truncate(depth);
        path.push(name);
        let mut default = value.trim().to_owned();
        if default.is_empty() && comment.is_empty() {
            continue;
        }
        // The lines below a value with a comment are its default.
        let below: Vec<_> =
            std::iter::from_fn(|| lines.next_if(|_| default.is_empty()).filter(|line| line.starts_with(' '))).collect();
        if default.is_empty() {
            let below: Vec<_> = below.iter().map(|line| line.trim()).collect();
            default = format!("{{ {} }}", below.join(", "));
        }
        let path = path.join(".");
        assert!(!comment.is_empty(), "{path} has no comment");
        rows += &format!("| `{path}` | `{default}` | {} |\n", comment.join(" "));
        comment.clear();
    }
    rows
}

/// Asserts that the generated part of a page has this content, or writes it.
fn assert_part_current(path: &Path, expected: &str) {
    let page = std::fs::read_to_string(path).expect("the page");
    let (before, rest) = page.split_once(FRAME[0]).expect("the line before the part");
    let (_, behind) = rest.split_once(FRAME[1]).expect("the line after the part");
    assert_current(path, &format!("{before}{}{expected}{}{behind}", FRAME[0], FRAME[1]));
}

#[test]
fn chart_readme_lists_every_value() {
    let values = std::fs::read_to_string(chart().join("values.yaml")).expect("the values");
    assert_part_current(&chart().join("README.md"), &table(&values));
}

#[test]
fn security_page_lists_every_permission() {
    let mut rows = "| resource | API group | verbs | why |\n|---|---|---|---|\n".to_owned();
    for permission in PERMISSIONS {
        let (verbs, group) = (permission.verbs.join(", "), permission.group);
        let group = if group.is_empty() { "core" } else { group };
        rows += &format!("| `{}` | {group} | {verbs} | {} |\n", permission.resource, permission.reason);
    }
    assert_part_current(&project().join("docs/security.md"), &rows);
}

/// Returns rendered manifests without the labels of objects that Helm manages.
pub fn without_helm_labels(manifests: &str) -> String {
    let is_helm_label =
        |line: &&str| line.contains(" app.kubernetes.io/managed-by: ") || line.contains(" helm.sh/chart: ");
    manifests.split_inclusive('\n').filter(|line| !is_helm_label(line)).collect()
}

#[test]
fn deploy_manifests_equal_the_rendered_chart_without_helm_labels() {
    let Some(text) = rendered_text("notification-hub-operator", "notification-hub-system", &["crds.enabled=false"])
    else {
        return;
    };
    let manifests = without_helm_labels(&text.expect("it renders"));
    assert!(!manifests.contains("managed-by: ") && !manifests.contains("helm.sh/"), "{manifests}");
    assert_current(&project().join("deploy/operator.yaml"), &format!("{NAMESPACE}{manifests}"));
}

/// Returns the objects in YAML documents, by kind and name.
fn objects(documents: &[&str]) -> BTreeMap<String, Value> {
    let texts = documents.iter().flat_map(|text| text.split("\n---\n"));
    let parsed = texts.map(|text| serde_saphyr::from_str::<Value>(text).expect("YAML"));
    let named = parsed.map(|object| (format!("{} {}", object["kind"], object["metadata"]["name"]), object));
    named.collect()
}

#[test]
fn kustomize_base_builds_the_deploy_manifests_and_the_crd() {
    let deploy = project().join("deploy");
    let Some(output) = tool("KUBECTL", "kubectl", &["kustomize", deploy.to_str().expect("a path")]) else { return };
    assert!(output.status.success(), "{output:?}");
    let [manifests, crd] = ["deploy/operator.yaml", "crds/yaml/notificationhubs.yaml"]
        .map(|path| std::fs::read_to_string(project().join(path)).expect("the manifests"));
    assert_eq!(objects(&[&String::from_utf8(output.stdout).expect("text")]), objects(&[&manifests, &crd]));
}

/// Returns the first YAML block of `docs/gitops.md` with this kind and API group.
fn gitops_block(kind: &str, group: &str) -> String {
    let page = std::fs::read_to_string(project().join("docs/gitops.md")).expect("the page");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let is_wanted = |block: &&str| block.contains(&format!("apiVersion: {group}/")) && block.contains(kind);
    blocks.into_iter().find(is_wanted).expect("the block").to_owned()
}

#[test]
fn gitops_page_overlay_replaces_both_images() {
    let folder = tempfile::tempdir().expect("a folder");
    for (from, to) in [("deploy", "notification-hub/deploy"), ("crds/yaml", "notification-hub/crds/yaml")] {
        let to = folder.path().join(to);
        std::fs::create_dir_all(&to).expect("it can be made");
        for file in std::fs::read_dir(project().join(from)).expect("a folder").flatten() {
            if file.path().is_file() {
                std::fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
            }
        }
    }
    let overlay = folder.path().join("overlay");
    std::fs::create_dir(&overlay).expect("it can be made");
    let block = gitops_block("kind: Kustomization", "kustomize.config.k8s.io");
    std::fs::write(overlay.join("kustomization.yaml"), block).expect("it can be written");
    let Some(output) = tool("KUBECTL", "kubectl", &["kustomize", overlay.to_str().expect("a path")]) else { return };
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains("/notification-hub/notification-hub"), "{text}");
    let built = objects(&[&text]);
    let deployment = built.values().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.com/notification-hub-operator:0.1.0");
    assert_eq!(container["args"], serde_json::json!(["run"]), "the patch changes the variable only");
}

#[test]
fn gitops_page_helm_release_has_valid_values() {
    let release: Value =
        serde_saphyr::from_str(&gitops_block("kind: HelmRelease", "helm.toolkit.fluxcd.io")).expect("YAML");
    assert_eq!(release["spec"]["chart"]["spec"]["chart"], "charts/notification-hub-operator");
    let values = release["spec"]["values"].as_object().expect("values");
    let values: Vec<_> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let Some(text) = rendered_text("notification-hub-operator", "notification-hub-system", &values) else { return };
    let text = text.expect("it renders");
    assert!(text.contains("registry.example.com/notification-hub:0.1.0") && text.contains("replicas: 2"), "{text}");
}

#[test]
fn chart_annotations_describe_the_crd_and_the_minimal_sample() {
    let yaml = |path: &str| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(project().join(path)).expect("a file")).expect("YAML")
    };
    let chart = yaml("charts/notification-hub-operator/Chart.yaml");
    let annotation = |name: &str| -> Value {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str().expect("an annotation");
        serde_saphyr::from_str(text).expect("YAML")
    };
    assert_eq!(annotation("crdsExamples"), Value::Array(vec![yaml("crds/samples/minimal.yaml")]));
    let crd = yaml("crds/yaml/notificationhubs.yaml");
    let described = &annotation("crds")[0];
    assert_eq!(described["name"], crd["metadata"]["name"]);
    assert_eq!(described["kind"], crd["spec"]["names"]["kind"]);
    assert_eq!(described["version"], crd["spec"]["versions"][0]["name"]);
}

#[test]
fn chart_with_customized_values_equals_the_golden_file() {
    let Some(text) = rendered_text("test", "operators", CUSTOMIZED) else { return };
    assert_current(&project().join("operator/tests/chart/customized.yaml"), &text.expect("it renders"));
}
