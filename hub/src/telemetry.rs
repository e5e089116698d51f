//! Logs, and every metric by name in one place. Labels' values stand in `LABELS`.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::{Log, LogFormat};
use crate::connection::Transport;
use crate::delivery::Hub;
use crate::notification::ClientType;
use crate::protocol::Protocol;

/// Where log lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTo {
    /// Standard output: a service's log.
    Output,
    /// Standard error: standard output is for somebody else.
    Error,
}

/// Crates that log every failed request, again and again; what matters of it, the hub says itself.
const QUIET: &str = "typespec_client_core=warn,azure_core=warn,azure_identity=warn";

/// Begins logging; a second call is ignored.
pub fn start_logs(log: &Log, to: LogTo) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = match to {
        LogTo::Output => std::io::stdout().is_terminal(),
        LogTo::Error => std::io::stderr().is_terminal(),
    };
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let writer = match to {
        LogTo::Output => BoxMakeWriter::new(std::io::stdout),
        LogTo::Error => BoxMakeWriter::new(std::io::stderr),
    };
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_ansi(terminal).with_writer(writer);
    let _ = if json { lines.json().flatten_event(true).try_init() } else { lines.compact().try_init() };
}

/// Has something that may come a thousand times a second said once in ten.
#[derive(Default)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    /// How often nothing was said since the last time, if now is the time to say it again.
    pub fn say(&self) -> Option<u64> {
        const EVERY: Duration = Duration::from_secs(10);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, unsaid) = *state;
        if said.is_some_and(|said| said.elapsed() < EVERY) {
            state.1 += 1;
            return None;
        }
        *state = (Some(Instant::now()), 0);
        Some(unsaid)
    }
}

/// Every metric of the hub.
pub struct Metrics {
    registry: Registry,
    /// Open connections.
    pub connections: IntGaugeVec,
    /// Attempts to connect, by how they ended.
    pub connects: IntCounterVec,
    /// Connections that ended after the upgrade, by reason.
    pub closes: IntCounterVec,
    /// Failed SignalR handshakes, by reason.
    pub handshake_failures: IntCounterVec,
    /// Tokens that were refused, by reason.
    pub auth_failures: IntCounterVec,
    /// Pushes by stage and type.
    pub notifications: IntCounterVec,
    /// Frames written or queued for a client.
    pub deliveries: IntCounter,
    /// From taking a push to having written it.
    pub delivery_seconds: Histogram,
    /// What was done about slow clients.
    pub slow_consumers: IntCounterVec,
    /// Messages in the queue, about, if the source is one.
    pub queue_depth: IntGauge,
    /// For how long the queue's next message has waited.
    pub queue_oldest_seconds: Gauge,
    /// Clients that were sent a `SyncVault`, by why.
    pub catch_up: IntCounterVec,
    /// Records of catch-up that were dropped for lack of room.
    pub catch_up_dropped: IntCounter,
    /// Whether the hub drains.
    pub draining: IntGauge,
    /// Failed attempts to load a changed key set.
    pub key_reloads: IntCounterVec,
}

/// The values of each label, so that every series is there from the start and rates can be computed at once.
const LABELS: [(&str, &[&str]); 7] = [
    ("connects_total", &["accepted", "unauthorized", "forbidden", "limited", "bad_request", "unavailable"]),
    ("closes_total", &["client", "timeout", "protocol_error", "slow", "drain", "reset", "handshake"]),
    ("handshake_failures_total", &["timeout", "malformed", "protocol", "version", "too_large"]),
    (
        "auth_failures_total",
        &[
            "missing",
            "malformed",
            "signature",
            "expired",
            "not_yet",
            "issuer",
            "audience",
            "type",
            "scope",
            "unknown_key",
        ],
    ),
    ("slow_consumers_total", &["queued", "collapsed", "reset"]),
    ("catch_up_total", &["missed", "unknown_device", "restart", "backplane_gap"]),
    ("key_reloads_total", &["loaded", "failed"]),
];

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If a name is there twice or no name: an error of the table below, which every test would show.
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new_custom(Some("notification_hub".into()), None)?;
        let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            for (_, values) in LABELS.iter().filter(|(known, _)| *known == name) {
                values.iter().for_each(|value| _ = counters.with_label_values(&[value]));
            }
            Ok(counters)
        };
        let connections =
            IntGaugeVec::new(Opts::new("connections", "Open connections."), &["client_type", "protocol", "transport"])?;
        registry.register(Box::new(connections.clone()))?;
        let deliveries = IntCounter::new("deliveries_total", "Frames written or queued for a client.")?;
        registry.register(Box::new(deliveries.clone()))?;
        let catch_up_dropped =
            IntCounter::new("catch_up_dropped_total", "Records of catch-up that were dropped for lack of room.")?;
        registry.register(Box::new(catch_up_dropped.clone()))?;
        let delivery_seconds = Histogram::with_opts(
            HistogramOpts::new("delivery_seconds", "From taking a push to having written it, per reactor.")
                .buckets(prometheus::exponential_buckets(0.000_1, 4.0, 10)?),
        )?;
        registry.register(Box::new(delivery_seconds.clone()))?;
        let queue_depth = IntGauge::new("queue_depth", "Messages in the source's queue, about.")?;
        registry.register(Box::new(queue_depth.clone()))?;
        let queue_oldest_seconds =
            Gauge::new("queue_oldest_seconds", "For how long the next message of the source's queue has waited.")?;
        registry.register(Box::new(queue_oldest_seconds.clone()))?;
        let draining = IntGauge::new("draining", "1 while the hub lets go of its clients.")?;
        registry.register(Box::new(draining.clone()))?;
        let build = IntGaugeVec::new(Opts::new("build_info", "Always 1; the label tells the version."), &["version"])?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Metrics {
            connections,
            connects: counters("connects_total", "Attempts to connect, by outcome.", &["outcome"])?,
            closes: counters("closes_total", "Connections that ended, by reason.", &["reason"])?,
            handshake_failures: counters("handshake_failures_total", "Failed handshakes.", &["reason"])?,
            auth_failures: counters("auth_failures_total", "Refused tokens, by reason.", &["reason"])?,
            notifications: counters("notifications_total", "Pushes by stage and type.", &["stage", "type"])?,
            deliveries,
            delivery_seconds,
            slow_consumers: counters("slow_consumers_total", "Measures against slow clients.", &["action"])?,
            queue_depth,
            queue_oldest_seconds,
            catch_up: counters("catch_up_total", "Clients that were sent a SyncVault, by why.", &["reason"])?,
            catch_up_dropped,
            draining,
            key_reloads: counters("key_reloads_total", "Changed key sets, by result.", &["result"])?,
            registry,
        })
    }

    /// The count of open connections of a kind of client, a protocol and a transport.
    pub fn connected(&self, hub: Hub, client_type: ClientType, protocol: Protocol, transport: Transport) -> IntGauge {
        let kind = if hub == Hub::Main { client_type.name() } else { "Anonymous" };
        self.connections.with_label_values(&[kind, protocol.name(), transport.label()])
    }

    /// Counts a push of a type that has come to a stage.
    pub fn pushed(&self, stage: &str, kind: Option<u8>) {
        let kind = kind.map_or_else(|| "none".to_owned(), |kind| kind.to_string());
        self.notifications.with_label_values(&[stage, &kind]).inc();
    }

    /// All metrics in Prometheus' text format.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory fails only for a family without a name, which the registry does not take.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_often_is_said_seldom() {
        let seldom = Seldom::default();
        assert_eq!(seldom.say(), Some(0));
        assert_eq!((seldom.say(), seldom.say()), (None, None));
        seldom.0.lock().expect("no panic").0 = Instant::now().checked_sub(Duration::from_secs(11));
        assert_eq!(seldom.say(), Some(2));
    }
}
