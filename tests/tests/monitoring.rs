//! The chart's alerts and dashboards: their queries use existing metrics, every alert can fire, and every panel has data.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::cluster::run;
use notification_hub_tests::dashboard::{DASHBOARDS, Dashboard, PanelQuery, fill};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::local_hub::LocalHub;
use notification_hub_tests::pages::{labels, read, root, table};
use notification_hub_tests::process::Process;
use notification_hub_tests::prometheus::Prometheus;
use notification_hub_tests::{http, programs, wait};
use serde_json::{Value, json};
use tempfile::TempDir;

const FILES: &str = "charts/notification-hub-operator/files";

/// The input of `promtool test rules`.
const RULE_TESTS: &str = "tests/alerts.yaml";

/// The type of a metric, and its labels with their values, or `None` for values that are only described.
type Metric = (String, BTreeMap<String, Option<BTreeSet<String>>>);

/// Returns the documented metrics of hub and operator by their full names.
fn documented() -> Result<BTreeMap<String, Metric>> {
    let page = read("docs/metrics.md")?;
    let mut metrics = BTreeMap::new();
    for (first, prefix) in [("metric", "notification_hub_"), ("metric of the operator", "notification_hub_operator_")] {
        for row in table(&page, first)? {
            let labels = labels(&row[2].replace(", or empty", ""))?;
            metrics.insert(format!("{prefix}{}", row[0].trim_matches('`')), (row[1].clone(), labels));
        }
    }
    Ok(metrics)
}

fn alerts() -> Result<Vec<Value>> {
    let file: Value = serde_saphyr::from_str(&read(&format!("{FILES}/alerts.yaml"))?)?;
    let groups = file["groups"].as_array().context("no groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

/// Returns all expressions of alerts and dashboards.
fn expressions() -> Result<Vec<String>> {
    let mut all: Vec<String> = alerts()?.iter().filter_map(|alert| alert["expr"].as_str()).map(str::to_owned).collect();
    for dashboard in DASHBOARDS {
        all.extend(Dashboard::read(dashboard)?.queries()?.into_iter().map(|query| query.expression));
    }
    Ok(all)
}

/// Returns the metrics in an expression, each with its label matchers.
fn named(expression: &str) -> Vec<(&str, &str)> {
    let starts = expression.match_indices("notification_hub_").map(|(at, _)| &expression[at..]);
    let parts = starts.map(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let matchers = behind.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        (name, matchers)
    });
    parts.collect()
}

#[test]
fn alert_and_dashboard_queries_use_only_documented_metrics() -> Result<()> {
    let metrics = documented()?;
    let mut asked = BTreeSet::new();
    for expression in expressions()? {
        let all = named(&expression);
        ensure!(!all.is_empty(), "{expression} has no metric of the hub or the operator");
        for (name, matchers) in all {
            // Queries use the buckets of a histogram.
            let metric = name.strip_suffix("_bucket").unwrap_or(name);
            let (kind, labels) = metrics.get(metric).with_context(|| format!("there is no {name}: {expression}"))?;
            ensure!((kind == "histogram") == (metric != name), "{name} is a {kind}: {expression}");
            asked.insert(metric.to_owned());
            for matcher in matchers.split(", ").filter(|matcher| !matcher.is_empty()) {
                let (label, value) = matcher.split_once(['=', '!']).with_context(|| matcher.to_owned())?;
                if ["namespace", "job"].contains(&label) {
                    continue;
                }
                let known = labels.get(label).with_context(|| format!("{name} has no label {label}"))?;
                let known = known.as_ref().with_context(|| format!("the values of {label} are not known"))?;
                for value in value.trim_matches(['=', '~', '"']).split('|') {
                    ensure!(known.contains(value), "{name} has no {label} {value}");
                }
            }
        }
    }
    ensure!(asked.len() > 15, "only {asked:?}");
    Ok(())
}

#[test]
fn alert_rules_fire_as_tested_and_are_documented() -> Result<()> {
    let rules = format!("{FILES}/alerts.yaml");
    run(Command::new("promtool").current_dir(root()).args(["check", "rules", &rules]))?;
    run(Command::new("promtool").current_dir(root()).args(["test", "rules", RULE_TESTS]))?;

    // Each alert must be tested without a problem, fire in at least one test, and be documented.
    let names: BTreeSet<String> =
        alerts()?.iter().filter_map(|alert| alert["alert"].as_str()).map(str::to_owned).collect();
    let played: Value = serde_saphyr::from_str(&read(RULE_TESTS)?)?;
    let (mut silent, mut fired) = (BTreeSet::new(), BTreeSet::new());
    for (number, test) in played["tests"].as_array().context("no tests")?.iter().enumerate() {
        for expected in test["alert_rule_test"].as_array().context("nothing is expected")? {
            let name = expected["alertname"].as_str().context("no name")?.to_owned();
            if expected["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty()) {
                fired.insert(name);
            } else if number == 0 {
                silent.insert(name);
            }
        }
    }
    ensure!(names == silent, "silent in the first test: {silent:?}");
    ensure!(names == fired, "fired: {fired:?}");
    let rows = table(&read("docs/metrics.md")?, "alert")?;
    let documented: BTreeMap<String, String> =
        rows.into_iter().map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone())).collect();
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("no name")?;
        let severity = alert["labels"]["severity"].as_str();
        ensure!(documented.get(name).map(String::as_str) == severity, "the page has {documented:?}");
    }
    ensure!(documented.len() == names.len(), "the page has {documented:?}");
    Ok(())
}

#[test]
fn runbooks_page_has_the_section_that_each_alert_links_to() -> Result<()> {
    let page = read("docs/runbooks.md")?;
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts = alerts()?;
    let names: BTreeSet<&str> = alerts.iter().filter_map(|alert| alert["alert"].as_str()).collect();
    ensure!(sections == names, "the page has {sections:?}, and there are {names:?}");
    for alert in &alerts {
        let name = alert["alert"].as_str().context("no name")?;
        let link = alert["annotations"]["runbook"].as_str().unwrap_or_default();
        ensure!(link == format!("docs/runbooks.md#{}", name.to_lowercase()), "{name} links to {link:?}");
    }
    let metrics = documented()?;
    // Commands may select metrics by the beginning of their names.
    for (name, _) in named(&page) {
        ensure!(metrics.keys().any(|metric| metric.starts_with(name)), "no metric begins with {name}");
    }
    Ok(())
}

/// Starts an operator without an API server. It serves metrics and never leads.
fn start_disconnected_operator() -> Result<(Process, TempDir, SocketAddr)> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("config");
    let cluster = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a", "users": [{ "name": "a", "user": {} }],
        "clusters": [{ "name": "a", "cluster": { "server": format!("http://{nowhere}") } }],
        "contexts": [{ "name": "a", "context": { "cluster": "a", "user": "a" } }],
    });
    std::fs::write(&kubeconfig, cluster.to_string())?;
    let mut command = Command::new(programs::find("notification-hub-operator")?);
    command.args(["run", "--metrics-address", &address.to_string()]).env("KUBECONFIG", &kubeconfig);
    let process = Process::start(&command)?;
    wait::until("the operator serves metrics", Duration::from_secs(20), || {
        http::get(address, "/metrics").with_context(|| process.printed()).map(drop)
    })?;
    Ok((process, folder, address))
}

#[test]
fn operator_metrics_equal_the_metrics_page() -> Result<()> {
    let (_process, _folder, address) = start_disconnected_operator()?;
    let shown = http::get(address, "/metrics")?.text();
    let types = shown.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<String, String> = types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect();
    // Without hubs there are no condition series.
    let conditions = "notification_hub_operator_hub_condition";
    let page = documented()?;
    ensure!(page.contains_key(conditions) && !types.contains_key(conditions), "{types:?}");
    let page =
        page.into_iter().filter(|(name, _)| name.starts_with("notification_hub_operator_") && name != conditions);
    let documented: BTreeMap<String, String> = page.map(|(name, (kind, _))| (name, kind)).collect();
    ensure!(documented == types, "the page has {documented:?}, and the operator {types:?}");
    Ok(())
}

#[test]
fn dashboard_panels_all_return_data() -> Result<()> {
    let hub = LocalHub::start("")?;
    let user = "d2ea5b72-6d47-4d20-b5a3-b7a6e89d8e7c";
    let client = Listener::connect(Command::new("node"), &hub.url(), &hub.token(user, &[])?, "json", &[])?;
    hub.push(&json!({ "type": 11, "payload": { "userId": user } }))?;
    client.notification(|push| push["type"] == 11)?;
    let (_operator, _folder, operator) = start_disconnected_operator()?;
    let rules = root().join(FILES).join("alerts.yaml");
    let prometheus = Prometheus::start(&[("vault", hub.admin), ("operator", operator)], &rules)?;

    // The variables are those of a dashboard with everything selected.
    let filled = |query: &PanelQuery| fill(&query.expression, ".*", ".*");
    for dashboard in DASHBOARDS {
        for query in Dashboard::read(dashboard)?.queries()? {
            // This operator has no reconcile that could fail.
            let is_empty = query.title == "Failures by step";
            wait::until(&format!("{} shows something", query.title), Duration::from_secs(30), || {
                let results = prometheus.query(&filled(&query))?;
                ensure!(results.is_empty() == is_empty, "{} gives {results:?}", query.expression);
                Ok(())
            })?;
        }
    }
    let connected = prometheus.query(&filled(&Dashboard::read("hub")?.queries()?[0]))?;
    ensure!(connected[0]["value"][1] == "1", "{connected:?}");

    // Only the alert about the missing leader is pending.
    wait::until("the rules have been judged", Duration::from_secs(30), || {
        for rule in prometheus.rules()? {
            let expected = if rule["name"] == "NotificationHubOperatorNoLeader" { "pending" } else { "inactive" };
            ensure!(rule["health"] == "ok" && rule["state"] == expected, "{rule}");
        }
        Ok(())
    })
}
