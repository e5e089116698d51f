//! Files that are generated from the chart and the permissions are up to date: the table of values, the manifests for
//! installation without Helm, and the permissions in the security page.
//!
//! `make generated` updates them.

use std::path::{Path, PathBuf};

use notification_hub_operator::permissions::PERMISSIONS;

use crate::chart::{chart, rendered_text};

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

#[test]
fn deploy_manifests_equal_the_rendered_chart() {
    let Some(text) = rendered_text("notification-hub-operator", "notification-hub-system", &["crds.enabled=false"])
    else {
        return;
    };
    assert_current(&project().join("deploy/operator.yaml"), &format!("{NAMESPACE}{}", text.expect("it renders")));
}

#[test]
fn chart_with_customized_values_equals_the_golden_file() {
    let Some(text) = rendered_text("test", "operators", CUSTOMIZED) else { return };
    assert_current(&project().join("operator/tests/chart/customized.yaml"), &text.expect("it renders"));
}
