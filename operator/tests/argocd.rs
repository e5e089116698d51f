//! Argo CD's health check, run by a Lua interpreter over a status for every reason. Argo CD has Lua 5.1.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::chart::tool;
use crate::conditions::situations;

/// Returns a value in Lua's syntax.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(items) => format!("{{ {} }}", items.iter().map(lua).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| format!("[{name:?}] = {}", lua(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        // The texts of the tests need no escapes that differ between Rust and Lua.
        Value::String(text) => format!("{text:?}"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Returns the status and the message of the health of each resource, or `None` without Lua.
fn healths(resources: &[Value]) -> Option<Vec<(String, String)>> {
    let mut script = format!("local function health(obj)\n{}\nend\n", include_str!("../../deploy/argocd/health.lua"));
    for resource in resources {
        let resource = lua(resource);
        writeln!(script, "do local hs = health({resource}); print(hs.status .. '\\t' .. hs.message) end")
            .expect("text");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), script).expect("it can be written");
    let output = tool("LUA", "lua5.1", &[file.path().to_str().expect("a path")])?;
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    let health = |line: &str| line.split_once('\t').map(|(status, message)| (status.to_owned(), message.to_owned()));
    Some(lines.lines().map(|line| health(line).expect("a status and a message")).collect())
}

/// Returns the status and the reason of a condition, or `-`.
fn state_of(resource: &Value, kind: &str) -> String {
    let mut conditions = resource["status"]["conditions"].as_array().expect("conditions").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let condition = conditions.find(|condition| condition["type"] == kind);
    condition.map_or("-".to_owned(), |it| format!("{} {}", text(&it["status"]), text(&it["reason"])))
}

/// `Ready`, `Degraded`, `Progressing`, `Paused`, and the health. A new reason of these conditions needs a row.
const HEALTHS: &[[&str; 5]] = &[
    ["False Conflict", "False NotDeployed", "False NotDeployed", "False NotPaused", "Degraded"],
    ["False InvalidSpec", "False NotDeployed", "False NotDeployed", "False NotPaused", "Degraded"],
    ["False Paused", "False AsExpected", "False RolloutComplete", "True Paused", "Suspended"],
    ["False Paused", "False NotDeployed", "False NotDeployed", "True Paused", "Suspended"],
    ["False Progressing", "False AsExpected", "True Progressing", "False NotPaused", "Progressing"],
    ["False Progressing", "False NotDeployed", "False NotDeployed", "False NotPaused", "Progressing"],
    ["False Progressing", "False NotDeployed", "False NotDeployed", "True Paused", "Suspended"],
    ["False Progressing", "False NotDeployed", "False RolloutQueued", "False NotPaused", "Progressing"],
    ["False ReconcileError", "-", "-", "-", "Degraded"],
    ["False ReferencesMissing", "False NotDeployed", "False NotDeployed", "False NotPaused", "Degraded"],
    ["False Unavailable", "True FailedCreate", "False FailedCreate", "False NotPaused", "Degraded"],
    [
        "False Unavailable",
        "True ProgressDeadlineExceeded",
        "False ProgressDeadlineExceeded",
        "False NotPaused",
        "Degraded",
    ],
    ["False Unavailable", "True Unavailable", "False RolloutComplete", "False NotPaused", "Degraded"],
    ["True Available", "False AsExpected", "False RolloutComplete", "False NotPaused", "Healthy"],
    ["True Available", "False AsExpected", "False RolloutComplete", "True Paused", "Suspended"],
    ["True Available", "False AsExpected", "False RolloutQueued", "False NotPaused", "Progressing"],
    ["True Available", "True FailedCreate", "False RolloutComplete", "False NotPaused", "Degraded"],
    ["True ScaledToZero", "False AsExpected", "False RolloutComplete", "False NotPaused", "Healthy"],
];

#[test]
fn argocd_health_of_every_condition_state_equals_the_table() {
    let resources: Vec<_> = situations()
        .into_iter()
        .map(|status| json!({ "metadata": { "generation": status.observed_generation }, "status": status }))
        .collect();
    let Some(healths) = healths(&resources) else { return };
    assert_eq!(healths.len(), resources.len());
    let found: BTreeSet<[String; 5]> = resources
        .iter()
        .zip(healths)
        .map(|(resource, (health, _))| {
            let [ready, degraded, progressing, paused] =
                ["Ready", "Degraded", "Progressing", "Paused"].map(|kind| state_of(resource, kind));
            [ready, degraded, progressing, paused, health]
        })
        .collect();
    let expected: BTreeSet<_> = HEALTHS.iter().map(|row| row.map(str::to_owned)).collect();
    assert_eq!(found, expected);
}

#[test]
fn gitops_page_installs_the_health_check_under_the_key_of_the_kind() {
    let key = format!("resource.customizations.health.{}_NotificationHub", notification_hub_crds::GROUP);
    let page = include_str!("../../docs/gitops.md");
    assert!(page.contains(&format!("--from-file={key}=deploy/argocd/health.lua ")), "docs/gitops.md lacks {key}");
}

#[test]
fn argocd_health_of_an_unobserved_spec_is_progressing() {
    let ready = json!({ "type": "Ready", "status": "True", "reason": "Available", "message": "1 of 1 pods available" });
    let status = json!({ "observedGeneration": 1, "conditions": [ready] });
    let resource = |generation: i64| json!({ "metadata": { "generation": generation }, "status": status });
    let Some(healths) = healths(&[json!({ "metadata": { "generation": 1 } }), resource(2), resource(1)]) else {
        return;
    };
    let unobserved = ("Progressing".to_owned(), "the operator has not observed the spec yet".to_owned());
    let healthy = ("Healthy".to_owned(), "1 of 1 pods available".to_owned());
    assert_eq!(healths, [unobserved.clone(), unobserved, healthy]);
}
