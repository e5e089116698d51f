//! The definitions of all metrics.

use std::sync::OnceLock;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::counters::LabeledCounters;
use super::log_writer::DROPPED_LINES;
use crate::notification::ClientType;
use crate::signalr::Hub;
use crate::signalr::Transport;
use crate::signalr::protocol::Protocol;

/// The number of series of `connections`: client types and anonymous clients, by protocol and transport.
const CONNECTION_SERIES: usize =
    (ClientType::VARIANTS.len() + 1) * Protocol::VARIANTS.len() * Transport::VARIANTS.len();

/// The phases of a shutdown, in their order (`decisions.md` 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownPhase {
    /// The hub still serves, but reports that it is not ready.
    Delay,
    /// The source finishes the pushes that it has received.
    Sources,
    /// The clients are disconnected.
    Clients,
    /// Buffered pushes are published to other replicas.
    Backplane,
}

impl ShutdownPhase {
    const VARIANTS: [ShutdownPhase; 4] =
        [ShutdownPhase::Delay, ShutdownPhase::Sources, ShutdownPhase::Clients, ShutdownPhase::Backplane];

    fn label(self) -> &'static str {
        match self {
            ShutdownPhase::Delay => "delay",
            ShutdownPhase::Sources => "sources",
            ShutdownPhase::Clients => "clients",
            ShutdownPhase::Backplane => "backplane",
        }
    }
}

/// The metrics of the hub.
pub struct Metrics {
    registry: Registry,
    /// Open connections.
    connections: IntGaugeVec,
    /// The series of `connections`, each created when it is first needed.
    connection_series: [OnceLock<IntGauge>; CONNECTION_SERIES],
    /// Attempts to connect, by outcome.
    pub connection_attempts: LabeledCounters,
    /// Connections that ended after the upgrade, by reason.
    pub connections_closed: LabeledCounters,
    /// Failed SignalR handshakes, by reason.
    pub handshake_failures: LabeledCounters,
    /// Rejected tokens, by reason.
    pub auth_failures: LabeledCounters,
    /// Pushes by stage and type.
    pushes: IntCounterVec,
    /// Frames written or queued for a client.
    pub frames_delivered: IntCounter,
    /// The time from accepting a push to writing it.
    pub delivery_duration_seconds: Histogram,
    /// Measures against slow clients, by action.
    pub slow_consumer_actions: LabeledCounters,
    /// Notifications that were lost with a slow client and that no sync covers.
    pub slow_consumer_pushes_dropped: IntCounter,
    /// The approximate number of messages in the queue, if the source is a queue.
    pub queue_depth: IntGauge,
    /// The time that the next message of the queue has waited.
    pub queue_oldest_message_age_seconds: Gauge,
    /// Clients that were sent a `SyncVault`, by reason.
    pub catch_up_syncs: LabeledCounters,
    /// Catch-up records that were dropped.
    pub catch_up_records_dropped: IntCounter,
    /// 1 while both connections to Redis are up.
    pub backplane_up: IntGauge,
    /// The time from accepting a push to its acknowledgement by Redis.
    pub backplane_publish_duration_seconds: Histogram,
    /// Messages published to Redis and received from it, by direction.
    pub backplane_messages: LabeledCounters,
    /// Pushes of servers that are not replicas of this hub.
    pub backplane_foreign_pushes: IntCounter,
    /// 1 for the current phase of the shutdown.
    drain_phase: IntGaugeVec,
    /// Clients that are still connected during the shutdown.
    pub drain_connections_remaining: IntGauge,
    /// Loads of changed key files and fetches of the identity server's keys, by result.
    pub key_reloads: LabeledCounters,
}

impl Metrics {
    /// Registers all metrics.
    ///
    /// # Errors
    /// Returns an error if a name is invalid or duplicated, which would be a fault of the definitions below.
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new_custom(Some("notification_hub".into()), None)?;
        let counters = |name: &str, help: &str, label: &str, values: &[&'static str]| {
            LabeledCounters::register(&registry, name, help, label, values)
        };
        let connections = Opts::new("connections", "Open connections.");
        let pushes = Opts::new("pushes_total", "Pushes by stage and type.");
        let catch_up_records_dropped = "Catch-up records that were dropped for lack of room or rejected by Redis.";
        let drain_phase = Opts::new("drain_phase", "1 for the current phase of the shutdown, 0 for others.");
        let build = Opts::new("build_info", "Always 1. The label has the version.");
        let build = register(&registry, IntGaugeVec::new(build, &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Metrics {
            connections: register(&registry, IntGaugeVec::new(connections, &["client_type", "protocol", "transport"]))?,
            connection_series: [const { OnceLock::new() }; CONNECTION_SERIES],
            connection_attempts: counters(
                "connection_attempts_total",
                "Attempts to connect, by outcome.",
                "outcome",
                &["accepted", "unauthorized", "forbidden", "limited", "bad_request", "unavailable"],
            )?,
            connections_closed: counters(
                "connections_closed_total",
                "Connections that ended, by reason.",
                "reason",
                &["client", "timeout", "protocol_error", "slow_consumer", "drain", "reset", "handshake"],
            )?,
            handshake_failures: counters(
                "handshake_failures_total",
                "Failed handshakes.",
                "reason",
                &["timeout", "malformed", "protocol", "version", "too_large"],
            )?,
            auth_failures: counters(
                "auth_failures_total",
                "Rejected tokens, by reason.",
                "reason",
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
            )?,
            pushes: register(&registry, IntCounterVec::new(pushes, &["stage", "type"]))?,
            frames_delivered: register(
                &registry,
                IntCounter::new("frames_delivered_total", "Frames written or queued for a client."),
            )?,
            delivery_duration_seconds: register_seconds(
                &registry,
                "delivery_duration_seconds",
                "Time from accepting a push to writing it, for each reactor.",
            )?,
            slow_consumer_actions: counters(
                "slow_consumer_actions_total",
                "Measures against slow clients.",
                "action",
                &["queued", "coalesced", "reset"],
            )?,
            slow_consumer_pushes_dropped: register(
                &registry,
                IntCounter::new(
                    "slow_consumer_pushes_dropped_total",
                    "Notifications that were lost with a slow client and that no sync covers.",
                ),
            )?,
            queue_depth: register(
                &registry,
                IntGauge::new("queue_depth", "Approximate number of messages in the source's queue."),
            )?,
            queue_oldest_message_age_seconds: register(
                &registry,
                Gauge::new(
                    "queue_oldest_message_age_seconds",
                    "Time that the next message of the source's queue has waited.",
                ),
            )?,
            catch_up_syncs: counters(
                "catch_up_syncs_total",
                "Clients that were sent a SyncVault, by reason.",
                "reason",
                &["missed", "unknown_device", "restart", "backplane_gap"],
            )?,
            catch_up_records_dropped: register(
                &registry,
                IntCounter::new("catch_up_records_dropped_total", catch_up_records_dropped),
            )?,
            backplane_up: register(
                &registry,
                IntGauge::new("backplane_up", "1 while both connections to Redis are up, to publish and to subscribe."),
            )?,
            backplane_publish_duration_seconds: register_seconds(
                &registry,
                "backplane_publish_duration_seconds",
                "Time from accepting a push to its acknowledgement by Redis.",
            )?,
            backplane_messages: counters(
                "backplane_messages_total",
                "Messages of the backplane, by direction: acknowledged by Redis, or received from it.",
                "direction",
                &["published", "received"],
            )?,
            backplane_foreign_pushes: register(
                &registry,
                IntCounter::new(
                    "backplane_foreign_pushes_total",
                    "Pushes of other servers, such as ASP.NET Core's, which catch-up does not cover.",
                ),
            )?,
            drain_phase: register(&registry, IntGaugeVec::new(drain_phase, &["phase"]))?,
            drain_connections_remaining: register(
                &registry,
                IntGauge::new("drain_connections_remaining", "Clients that are still connected during the shutdown."),
            )?,
            key_reloads: counters(
                "key_reloads_total",
                "Loads of changed key files and fetches of the identity server's keys, by result.",
                "result",
                &["loaded", "failed"],
            )?,
            registry,
        };
        metrics.registry.register(Box::new(DROPPED_LINES.clone()))?;
        metrics.set_shutdown_phase(None);
        // Without any series, an autoscaler would not count a pod that has had no client.
        metrics.connected(Hub::Main, ClientType::All, Protocol::Json, Transport::WebSockets);
        Ok(metrics)
    }

    /// Returns the gauge of open connections for a hub, client type, protocol and transport.
    pub fn connected(&self, hub: Hub, client_type: ClientType, protocol: Protocol, transport: Transport) -> &IntGauge {
        let (row, client_type) = match hub {
            Hub::Main => (client_type as usize, client_type.name()),
            Hub::Anonymous => (ClientType::VARIANTS.len(), "Anonymous"),
        };
        let index =
            (row * Protocol::VARIANTS.len() + protocol as usize) * Transport::VARIANTS.len() + transport as usize;
        self.connection_series[index]
            .get_or_init(|| self.connections.with_label_values(&[client_type, protocol.name(), transport.label()]))
    }

    /// Sets the current phase of the shutdown. `None` before the shutdown.
    pub fn set_shutdown_phase(&self, phase: Option<ShutdownPhase>) {
        for known in ShutdownPhase::VARIANTS {
            self.drain_phase.with_label_values(&[known.label()]).set((phase == Some(known)).into());
        }
    }

    /// Counts a push of a type at a stage. `kind` is `None` if the type is unknown.
    pub fn pushed(&self, stage: &str, kind: Option<u8>) {
        let kind = kind.map_or_else(|| "none".to_owned(), |kind| kind.to_string());
        self.pushes.with_label_values(&[stage, &kind]).inc();
    }

    /// Returns all metrics in the text format of Prometheus.
    pub fn text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory fails only for a family without a name, which the registry rejects.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

/// Registers a metric, if it was created without an error, and returns it.
fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Registers a histogram of times, with buckets from 0.1 ms to 26 s.
fn register_seconds(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Histogram> {
    let buckets = prometheus::exponential_buckets(0.000_1, 4.0, 10)?;
    register(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
}
