//! Metrics of the operator. Only `hub_condition` has series for each hub.

use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use notification_hub_crds::condition::ConditionType;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

/// Name of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricName {
    /// Number of reconciles, by outcome, step and category of the failure.
    Reconciles,
    /// Duration of a reconcile.
    ReconcileDurationSeconds,
    /// Number of failed watches.
    WatchFailures,
    /// Number of times that a resource could not be parsed.
    MalformedResources,
    /// Number of failed scrapes of pods.
    ScrapeFailures,
    /// Whether this process leads: 1 or 0.
    Leader,
    /// Status of each condition of each hub: 1 or 0.
    HubCondition,
    /// Always 1, with the version as label.
    BuildInfo,
}

impl MetricName {
    /// Every metric.
    pub const ALL: [MetricName; 8] = [
        MetricName::Reconciles,
        MetricName::ReconcileDurationSeconds,
        MetricName::WatchFailures,
        MetricName::MalformedResources,
        MetricName::ScrapeFailures,
        MetricName::Leader,
        MetricName::HubCondition,
        MetricName::BuildInfo,
    ];

    /// Returns the name as Prometheus scrapes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            MetricName::Reconciles => "notification_hub_operator_reconciles_total",
            MetricName::ReconcileDurationSeconds => "notification_hub_operator_reconcile_duration_seconds",
            MetricName::WatchFailures => "notification_hub_operator_watch_failures_total",
            MetricName::MalformedResources => "notification_hub_operator_malformed_resources_total",
            MetricName::ScrapeFailures => "notification_hub_operator_scrape_failures_total",
            MetricName::Leader => "notification_hub_operator_leader",
            MetricName::HubCondition => "notification_hub_operator_hub_condition",
            MetricName::BuildInfo => "notification_hub_operator_build_info",
        }
    }
}

/// Outcomes of reconciles that do not fail.
pub const OUTCOMES: [&str; 4] = ["applied", "blocked", "rejected", "paused"];

/// The operator's metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    seconds: Histogram,
    watch_failures: IntCounter,
    malformed: IntCounter,
    scrape_failures: IntCounter,
    leader: IntGauge,
    hub_condition: IntGaugeVec,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let named = |name: MetricName, help: &str| Opts::new(name.as_str(), help);
        let seconds = HistogramOpts::new(MetricName::ReconcileDurationSeconds.as_str(), "Duration of a reconcile")
            .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0]);
        let metrics = Metrics {
            registry: Registry::new(),
            reconciles: IntCounterVec::new(
                named(MetricName::Reconciles, "Reconciles by outcome"),
                &["outcome", "step", "category"],
            )?,
            seconds: Histogram::with_opts(seconds)?,
            watch_failures: IntCounter::with_opts(named(
                MetricName::WatchFailures,
                "Failed watches, which are retried",
            ))?,
            malformed: IntCounter::with_opts(named(
                MetricName::MalformedResources,
                "Resources that could not be parsed, each time they were read",
            ))?,
            scrape_failures: IntCounter::with_opts(named(
                MetricName::ScrapeFailures,
                "Failed scrapes of the number of clients of a pod",
            ))?,
            leader: IntGauge::with_opts(named(MetricName::Leader, "1 while this process leads"))?,
            hub_condition: IntGaugeVec::new(
                named(MetricName::HubCondition, "1 if a condition of a hub is True, 0 if it is False"),
                &["hub_namespace", "hub", "condition"],
            )?,
        };
        let info = Gauge::with_opts(
            named(MetricName::BuildInfo, "Always 1; the label has the version")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        info.set(1.0);
        let all: [Box<dyn prometheus::core::Collector>; 8] = [
            Box::new(metrics.reconciles.clone()),
            Box::new(metrics.seconds.clone()),
            Box::new(metrics.watch_failures.clone()),
            Box::new(metrics.malformed.clone()),
            Box::new(metrics.scrape_failures.clone()),
            Box::new(metrics.leader.clone()),
            Box::new(metrics.hub_condition.clone()),
            Box::new(info),
        ];
        for collector in all {
            metrics.registry.register(collector)?;
        }
        // Every outcome has a series from the start, so that rates work at once.
        for outcome in OUTCOMES {
            metrics.reconciles.with_label_values(&[outcome, "", ""]);
        }
        Ok(metrics)
    }

    /// Starts the timer of a reconcile.
    pub fn reconcile_started(&self) -> ReconcileTimer<'_> {
        ReconcileTimer { metrics: self, started: Instant::now() }
    }

    /// Counts a failed watch.
    pub fn watch_failed(&self) {
        self.watch_failures.inc();
    }

    /// Counts a resource that could not be parsed.
    pub fn malformed_resource(&self) {
        self.malformed.inc();
    }

    /// Counts a failed scrape of a pod.
    pub fn scrape_failed(&self) {
        self.scrape_failures.inc();
    }

    /// Sets whether this process leads.
    pub fn set_leader(&self, is_leader: bool) {
        self.leader.set(is_leader.into());
    }

    /// Sets the status of the conditions of a hub.
    pub fn set_conditions(&self, namespace: &str, hub: &str, conditions: &[Condition]) {
        for condition in conditions {
            let gauge = self.hub_condition.with_label_values(&[namespace, hub, &condition.type_]);
            gauge.set((condition.status == "True").into());
        }
    }

    /// Removes the series of a deleted hub.
    pub fn forget_hub(&self, namespace: &str, hub: &str) {
        for condition in ConditionType::ALL {
            // An error means that the series does not exist.
            let _ = self.hub_condition.remove_label_values(&[namespace, hub, condition.as_str()]);
        }
    }

    /// Returns every metric in the text format of Prometheus.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut bytes = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut bytes)?;
        String::from_utf8(bytes).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

/// Timer of one reconcile.
#[must_use]
pub struct ReconcileTimer<'a> {
    metrics: &'a Metrics,
    started: Instant,
}

impl ReconcileTimer<'_> {
    /// Records a reconcile that ended with this outcome: one of [`OUTCOMES`].
    pub fn finished(self, outcome: &str) {
        self.count([outcome, "", ""]);
    }

    /// Records a reconcile that failed at a step with a category of failures.
    pub fn failed(self, step: &str, category: &str) {
        self.count(["failed", step, category]);
    }

    fn count(self, labels: [&str; 3]) {
        self.metrics.seconds.observe(self.started.elapsed().as_secs_f64());
        self.metrics.reconciles.with_label_values(&labels).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: &str) -> Condition {
        serde_json::from_value(serde_json::json!({
            "type": "Ready", "status": status, "reason": "A", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }))
        .expect("a condition")
    }

    #[test]
    fn hub_condition_metric_follows_status_until_hub_is_deleted() {
        let metrics = Metrics::new().expect("metrics");
        let series =
            "notification_hub_operator_hub_condition{condition=\"Ready\",hub=\"vault\",hub_namespace=\"bitwarden\"}";
        for (status, value) in [("True", 1), ("False", 0)] {
            metrics.set_conditions("bitwarden", "vault", &[ready(status)]);
            let text = metrics.text().expect("text");
            assert!(text.contains(&format!("{series} {value}\n")), "{text}");
        }
        metrics.forget_hub("bitwarden", "vault");
        assert!(!metrics.text().expect("text").contains("hub=\"vault\""));
    }

    #[test]
    fn metrics_text_contains_every_metric_name() {
        let metrics = Metrics::new().expect("metrics");
        metrics.reconcile_started().finished(OUTCOMES[0]);
        metrics.set_conditions("bitwarden", "vault", &[ready("True")]);
        let text = metrics.text().expect("text");
        for name in MetricName::ALL {
            assert!(text.contains(&format!("# TYPE {} ", name.as_str())), "{name:?}");
        }
        assert!(
            text.contains("notification_hub_operator_reconciles_total{category=\"\",outcome=\"applied\",step=\"\"} 1"),
            "{text}"
        );
    }
}
