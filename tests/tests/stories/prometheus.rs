//! Metrics in a real Kubernetes cluster: the Prometheus operator selects the monitors of a hub and of the chart, and the rules of
//! the chart. A Prometheus with the configuration that it generates scrapes, shows dashboards and alerts.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use notification_hub_tests::dashboard::{Dashboard, fill};
use notification_hub_tests::deployed::{connect, folder_update, generated_signer, send, upgrade};
use notification_hub_tests::install::{self, NAMESPACE, RELEASE};
use notification_hub_tests::listener::Listener;
use notification_hub_tests::namespace::{self, Namespace};
use notification_hub_tests::prometheus::Prometheus;
use notification_hub_tests::prometheus_operator::{OperatedPrometheus, SELECTOR_LABEL};
use notification_hub_tests::redis_pod;
use notification_hub_tests::third_party_kinds::ThirdPartyKinds;
use notification_hub_tests::token::{self, Signer};
use notification_hub_tests::wait::until;
use serde_json::{Value, json};
use uuid::Uuid;

const HUB: &str = "vault";

/// The timeout of a scrape, an evaluation and a reconnect to Redis. The operator looks for new kinds every 30 seconds.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The Helm release with objects for the Prometheus operator. On drop, the release is as before.
struct MonitoredRelease<'a>(&'a Namespace);

impl MonitoredRelease<'_> {
    /// Enables objects of the chart and gives them the selected label.
    fn enable(&self, objects: &[&str]) -> Result<()> {
        let label = |object| format!("metrics.{object}.labels.{SELECTOR_LABEL}={}", self.0.name);
        let values: Vec<String> =
            objects.iter().map(|object| format!("metrics.{object}.enabled=true,{}", label(object))).collect();
        let options: Vec<&str> = values.iter().flat_map(|value| ["--set", value.as_str()]).collect();
        install::install_release(self.0.cluster, &install::chart_path()?, &options)
    }
}

impl Drop for MonitoredRelease<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.enable(&[]) {
            eprintln!("{error:#}");
        }
    }
}

/// A connected client of the hub, and the sender of its pushes.
struct Client<'a> {
    namespace: &'a Namespace,
    key: Signer,
    user: String,
    client: Listener,
}

impl<'a> Client<'a> {
    fn connect(namespace: &'a Namespace) -> Result<Self> {
        let key = generated_signer(namespace, HUB)?;
        let user = Uuid::new_v4().to_string();
        let token = key.sign(&token::user(&user, &[], "ChromeBrowser", "device"))?;
        let client = connect(namespace, &namespace.endpoint(HUB, 5000)?, &token, "messagepack")?;
        Ok(Self { namespace, key, user, client })
    }

    fn push(&self, user: &str, folder: &str) -> Result<()> {
        let internal = self.namespace.endpoint(&format!("{HUB}-internal"), 5001)?;
        let token = self.key.sign(&token::internal())?;
        let sent = send(self.namespace, &internal, &token, &folder_update(user, folder))?;
        ensure!(sent.status == 200, "the push was answered {}: {}", sent.status, sent.text());
        Ok(())
    }

    fn push_to_absent_users(&self, pushes: usize) -> Result<()> {
        (0..pushes).try_for_each(|_| self.push(&Uuid::new_v4().to_string(), &Uuid::new_v4().to_string()))
    }

    /// Delivers a push to the client.
    fn deliver(&self) -> Result<()> {
        let folder = Uuid::new_v4().to_string();
        self.push(&self.user, &folder)?;
        self.client.notification(|notification| notification["Payload"]["Id"] == *folder).map(drop)
    }

    /// Tries to connect again, above the limit of the user.
    fn connect_above_limit(&self) -> Result<()> {
        let token = self.key.sign(&token::user(&self.user, &[], "ChromeBrowser", "device"))?;
        let (status, _) = upgrade(self.namespace, &self.namespace.endpoint(HUB, 5000)?, &token, "")?;
        ensure!(status == 429, "the second connection was answered {status}");
        Ok(())
    }
}

fn hub(namespace: &Namespace) -> Value {
    let monitor = json!({"enabled": true, "labels": {SELECTOR_LABEL: namespace.name}});
    let redis = json!({
        "url": {"secretKeyRef": {"name": "redis", "key": "url"}}, "username": "hub",
        "password": {"secretKeyRef": {"name": "redis", "key": "password"}},
    });
    json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": HUB},
        "spec": {
            "source": {"direct": {}}, "auth": {"generate": {}}, "backplane": {"redis": redis},
            "limits": {"maxConnectionsPerUser": 1}, "monitoring": {"serviceMonitor": monitor, "podMonitor": monitor},
        },
    })
}

#[test]
fn prometheus_operator_selects_monitors_and_rules_and_alerts_follow_faults() {
    namespace::with_exclusive_release("prometheus", |namespace| {
        let kinds = ThirdPartyKinds::reserve(namespace.cluster);
        kinds.install()?;
        redis_pod::start(namespace)?;
        namespace.apply(&hub(namespace))?;
        let operated = OperatedPrometheus::start(namespace)?;
        let prometheus = operated.prometheus();
        let release = MonitoredRelease(namespace);
        release.enable(&["prometheusRule"])?;
        namespace.wait_ready(HUB)?;
        let client = Client::connect(namespace)?;

        // The Service's job, and that of the pods without it.
        let jobs = [format!("{HUB}-metrics"), format!("{}/{HUB}", namespace.name)];
        until("rules are loaded and both monitors have a target", TIMEOUT, || {
            operated.refresh()?;
            check_rules(prometheus)?;
            jobs.iter().try_for_each(|job| check_up(prometheus, &namespace.name, job))
        })
        .with_context(|| operated.printed())?;
        // Nothing scrapes the operator yet.
        wait_alert(prometheus, "NotificationHubOperatorNoLeader", &[], true)?;
        release.enable(&["prometheusRule", "serviceMonitor"])?;
        let operator = format!("{RELEASE}-metrics");
        until("the operator is scraped", TIMEOUT, || {
            operated.refresh()?;
            check_up(prometheus, NAMESPACE, &operator)
        })?;
        wait_alert(prometheus, "NotificationHubOperatorNoLeader", &[], false)?;

        check_push_alert(prometheus, &client)?;
        for (dashboard, namespace, job) in [
            ("hub", &*namespace.name, &jobs[0]),
            ("hub", &*namespace.name, &jobs[1]),
            ("operator", NAMESPACE, &operator),
        ] {
            check_dashboard(prometheus, &Dashboard::read(dashboard)?, namespace, job)?;
        }
        // Prometheus renames a label of a metric that the target has, too.
        let renamed: Vec<String> =
            prometheus.labels()?.into_iter().filter(|label| label.starts_with("exported_")).collect();
        ensure!(renamed.is_empty(), "labels are renamed: {renamed:?}");

        client.connect_above_limit()?;
        wait_alert(prometheus, "NotificationHubLimitReached", &[("job", &jobs[0])], true)?;
        check_backplane_alert(prometheus, namespace, &jobs[0])?;
        check_hub_alerts(prometheus, namespace)
    });
}

/// Fails unless the rules are those of the chart and can be evaluated.
fn check_rules(prometheus: &Prometheus) -> Result<()> {
    let rules = prometheus.rules()?;
    ensure!(rules.len() > 10, "{} rules", rules.len());
    let sick: Vec<&Value> = rules.iter().filter(|rule| rule["health"] != "ok").collect();
    ensure!(sick.is_empty(), "{sick:?}");
    Ok(())
}

/// Fails unless a job has one target and it is up.
fn check_up(prometheus: &Prometheus, namespace: &str, job: &str) -> Result<()> {
    let up = prometheus.query(&format!("up{{namespace={namespace:?}, job={job:?}}}"))?;
    ensure!(up.len() == 1 && up[0]["value"][1] == "1", "{job}: {up:?}");
    ensure!(up[0]["metric"]["pod"].is_string(), "the target has no label pod: {up:?}");
    Ok(())
}

/// Waits until an alert with these labels fires, or does not.
fn wait_alert(prometheus: &Prometheus, name: &str, labels: &[(&str, &str)], fires: bool) -> Result<()> {
    until(&format!("{name} fires: {fires}"), TIMEOUT, || {
        let rules = prometheus.rules()?;
        let rule = rules.iter().find(|rule| rule["name"] == name).with_context(|| format!("no {name}"))?;
        ensure!(rule["health"] == "ok", "{rule}");
        let alerts = rule["alerts"].as_array().context("no alerts")?;
        let has_labels = |alert: &Value| labels.iter().all(|(label, value)| alert["labels"][*label] == **value);
        let found = alerts.iter().any(|alert| alert["state"] == "firing" && has_labels(alert));
        ensure!(found == fires, "{rule}");
        Ok(())
    })
}

/// Sends pushes to absent users, then one to the client.
fn check_push_alert(prometheus: &Prometheus, client: &Client<'_>) -> Result<()> {
    let (namespace, name) = (&*client.namespace.name, "NotificationHubPushesInNoneOut");
    client.push_to_absent_users(1)?;
    let received = format!("notification_hub_pushes_total{{namespace={namespace:?}, stage=\"received\"}}");
    until("the first push is counted", TIMEOUT, || {
        let series = prometheus.query(&received)?;
        ensure!(series.len() == 2, "{series:?}");
        Ok(())
    })?;
    client.push_to_absent_users(30)?;
    wait_alert(prometheus, name, &[("namespace", namespace)], true)?;
    client.deliver()?;
    wait_alert(prometheus, name, &[("namespace", namespace)], false)
}

/// Fails unless a dashboard offers a namespace and a job, and every panel shows something of them.
fn check_dashboard(prometheus: &Prometheus, dashboard: &Dashboard, namespace: &str, job: &str) -> Result<()> {
    for variable in dashboard.variables()? {
        let series = prometheus.query(&fill(&variable.series, namespace, job))?;
        let offered: BTreeSet<&str> =
            series.iter().filter_map(|series| series["metric"][&variable.label].as_str()).collect();
        let wanted = if variable.label == "namespace" { namespace } else { job };
        ensure!(offered.contains(wanted), "{} of {} are {offered:?}", variable.label, variable.series);
    }
    for query in dashboard.queries()? {
        // Only a fault of the cluster makes reconciles fail.
        if query.title == "Failures by step" {
            continue;
        }
        until(&format!("{} shows something", query.title), TIMEOUT, || {
            let expression = fill(&query.expression, namespace, job);
            ensure!(!prometheus.query(&expression)?.is_empty(), "nothing for {expression}");
            Ok(())
        })?;
    }
    Ok(())
}

/// Takes Redis away from a hub and gives it back.
fn check_backplane_alert(prometheus: &Prometheus, namespace: &Namespace, job: &str) -> Result<()> {
    let (name, labels) = ("NotificationHubBackplaneDown", [("namespace", &*namespace.name), ("job", job)]);
    wait_alert(prometheus, name, &labels, false)?;
    redis_pod::stop(namespace)?;
    wait_alert(prometheus, name, &labels, true)?;
    redis_pod::start_pod(namespace)?;
    wait_alert(prometheus, name, &labels, false)
}

/// Creates a hub without the Secret that it names, then the Secret.
fn check_hub_alerts(prometheus: &Prometheus, namespace: &Namespace) -> Result<()> {
    namespace.apply(&json!({
        "apiVersion": "notificationhub.rs/v1alpha1", "kind": "NotificationHub", "metadata": {"name": "unready"},
        "spec": {"source": {"direct": {}}, "auth": {"signingKeys": {"secretRef": {"name": "keys"}}}},
    }))?;
    let labels = [("hub_namespace", &*namespace.name), ("hub", "unready")];
    wait_alert(prometheus, "NotificationHubNotReady", &labels, true)?;
    wait_alert(prometheus, "NotificationHubNotApplied", &[("namespace", NAMESPACE)], true)?;
    let keys = namespace.secret(&format!("{HUB}-jwt"), "jwks.json")?;
    namespace.set_secret("keys", "jwks.json", &String::from_utf8(keys)?)?;
    wait_alert(prometheus, "NotificationHubNotReady", &labels, false)
}
