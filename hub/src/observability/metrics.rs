//! Every metric, by name in one place.

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

/// How many kinds of connection are told apart: of client (the anonymous ones are one), protocol and transport.
const KINDS: usize = (ClientType::VARIANTS.len() + 1) * Protocol::VARIANTS.len() * Transport::VARIANTS.len();

/// How a hub ends, in this order (`decisions.md` 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It serves normally.
    Grace,
    /// What the source has in hand is seen to its end.
    Sources,
    /// Clients are let go of.
    Clients,
    /// What other replicas have not got is published.
    Backplane,
}

impl Phase {
    const VARIANTS: [Phase; 4] = [Phase::Grace, Phase::Sources, Phase::Clients, Phase::Backplane];

    fn label(self) -> &'static str {
        match self {
            Phase::Grace => "grace",
            Phase::Sources => "sources",
            Phase::Clients => "clients",
            Phase::Backplane => "backplane",
        }
    }
}

/// Every metric of the hub.
pub struct Metrics {
    registry: Registry,
    /// Open connections, and those of each kind as soon as there has been one.
    connections: IntGaugeVec,
    connected: [OnceLock<IntGauge>; KINDS],
    /// Attempts to connect, by how they ended.
    pub connects: LabeledCounters,
    /// Connections that ended after the upgrade, by reason.
    pub closes: LabeledCounters,
    /// Failed SignalR handshakes, by reason.
    pub handshake_failures: LabeledCounters,
    /// Tokens that were refused, by reason.
    pub auth_failures: LabeledCounters,
    /// Pushes by stage and type.
    notifications: IntCounterVec,
    /// Frames written or queued for a client.
    pub deliveries: IntCounter,
    /// From taking a push to having written it.
    pub delivery_seconds: Histogram,
    /// What was done about slow clients.
    pub slow_consumers: LabeledCounters,
    /// Frames that waited for a slow client, went with it, and no sync makes up for.
    pub slow_consumer_losses: IntCounter,
    /// Messages in the queue, about, if the source is one.
    pub queue_depth: IntGauge,
    /// For how long the queue's next message has waited.
    pub queue_oldest_seconds: Gauge,
    /// Clients that were sent a `SyncVault`, by why.
    pub catch_up: LabeledCounters,
    /// Records of catch-up that were dropped for lack of room.
    pub catch_up_dropped: IntCounter,
    /// Whether Redis is there.
    pub backplane_up: IntGauge,
    /// From taking a push to Redis' acknowledgement.
    pub backplane_seconds: Histogram,
    /// Messages that went to Redis and came from it.
    pub backplane_messages: LabeledCounters,
    /// Pushes that other servers than this hub's replicas published.
    pub backplane_foreign_pushes: IntCounter,
    /// How far the hub's end has come.
    draining: IntGaugeVec,
    /// Clients that are still to be let go of at its end.
    pub drain_left: IntGauge,
    /// Failed attempts to load a changed key set.
    pub key_reloads: LabeledCounters,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If a name is there twice or no name: an error of the table below, which every test would show.
    pub fn new() -> prometheus::Result<Metrics> {
        let registry = Registry::new_custom(Some("notification_hub".into()), None)?;
        let counters = |name: &str, help: &str, label: &str, values: &[&'static str]| {
            LabeledCounters::register(&registry, name, help, label, values)
        };
        let connections = Opts::new("connections", "Open connections.");
        let notifications = Opts::new("notifications_total", "Pushes by stage and type.");
        let catch_up_dropped = "Records of catch-up that were dropped for lack of room, or that Redis did not take.";
        let draining = Opts::new("draining", "1 for the phase that the hub is in, once it ends.");
        let build = Opts::new("build_info", "Always 1; the label tells the version.");
        let build = registered(&registry, IntGaugeVec::new(build, &["version"]))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Metrics {
            connections: registered(
                &registry,
                IntGaugeVec::new(connections, &["client_type", "protocol", "transport"]),
            )?,
            connected: [const { OnceLock::new() }; KINDS],
            connects: counters(
                "connects_total",
                "Attempts to connect, by outcome.",
                "outcome",
                &["accepted", "unauthorized", "forbidden", "limited", "bad_request", "unavailable"],
            )?,
            closes: counters(
                "closes_total",
                "Connections that ended, by reason.",
                "reason",
                &["client", "timeout", "protocol_error", "slow", "drain", "reset", "handshake"],
            )?,
            handshake_failures: counters(
                "handshake_failures_total",
                "Failed handshakes.",
                "reason",
                &["timeout", "malformed", "protocol", "version", "too_large"],
            )?,
            auth_failures: counters(
                "auth_failures_total",
                "Refused tokens, by reason.",
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
            notifications: registered(&registry, IntCounterVec::new(notifications, &["stage", "type"]))?,
            deliveries: registered(
                &registry,
                IntCounter::new("deliveries_total", "Frames written or queued for a client."),
            )?,
            delivery_seconds: seconds(
                &registry,
                "delivery_seconds",
                "From taking a push to having written it, per reactor.",
            )?,
            slow_consumers: counters(
                "slow_consumers_total",
                "Measures against slow clients.",
                "action",
                &["queued", "collapsed", "reset"],
            )?,
            slow_consumer_losses: registered(
                &registry,
                IntCounter::new(
                    "slow_consumer_losses_total",
                    "Notifications that were lost with a slow client and that no sync covers.",
                ),
            )?,
            queue_depth: registered(&registry, IntGauge::new("queue_depth", "Messages in the source's queue, about."))?,
            queue_oldest_seconds: registered(
                &registry,
                Gauge::new("queue_oldest_seconds", "For how long the next message of the source's queue has waited."),
            )?,
            catch_up: counters(
                "catch_up_total",
                "Clients that were sent a SyncVault, by why.",
                "reason",
                &["missed", "unknown_device", "restart", "backplane_gap"],
            )?,
            catch_up_dropped: registered(&registry, IntCounter::new("catch_up_dropped_total", catch_up_dropped))?,
            backplane_up: registered(
                &registry,
                IntGauge::new("backplane_up", "1 while Redis is there, both to publish and to listen."),
            )?,
            backplane_seconds: seconds(
                &registry,
                "backplane_seconds",
                "From taking a push to its acknowledgement by Redis.",
            )?,
            backplane_messages: counters(
                "backplane_messages_total",
                "Messages of the backplane, by direction: those that Redis has acknowledged, and those that it has delivered here.",
                "direction",
                &["published", "heard"],
            )?,
            backplane_foreign_pushes: registered(
                &registry,
                IntCounter::new(
                    "backplane_foreign_pushes_total",
                    "Pushes that servers other than this hub published, such as ASP.NET Core's; catch-up does not know them.",
                ),
            )?,
            draining: registered(&registry, IntGaugeVec::new(draining, &["phase"]))?,
            drain_left: registered(
                &registry,
                IntGauge::new("drain_left", "Clients that are still to be let go of, once the hub ends."),
            )?,
            key_reloads: counters(
                "key_reloads_total",
                "Changed key sets, by result.",
                "result",
                &["loaded", "failed"],
            )?,
            registry,
        };
        metrics.registry.register(Box::new(DROPPED_LINES.clone()))?;
        metrics.drains(None);
        // Without any, an autoscaler would not count a pod that nobody has come to.
        metrics.connected(Hub::Main, ClientType::All, Protocol::Json, Transport::WebSockets);
        Ok(metrics)
    }

    /// The count of open connections of a kind of client, a protocol and a transport.
    pub fn connected(&self, hub: Hub, client_type: ClientType, protocol: Protocol, transport: Transport) -> &IntGauge {
        let (number, kind) = match hub {
            Hub::Main => (client_type as usize, client_type.name()),
            Hub::Anonymous => (ClientType::VARIANTS.len(), "Anonymous"),
        };
        let place =
            (number * Protocol::VARIANTS.len() + protocol as usize) * Transport::VARIANTS.len() + transport as usize;
        self.connected[place]
            .get_or_init(|| self.connections.with_label_values(&[kind, protocol.name(), transport.label()]))
    }

    /// The hub's end has come to a phase; before the first, it is in none.
    pub fn drains(&self, phase: Option<Phase>) {
        for known in Phase::VARIANTS {
            self.draining.with_label_values(&[known.label()]).set((phase == Some(known)).into());
        }
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

/// A metric that is made well, now that it is registered.
fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = made?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// A histogram of times from a tenth of a millisecond to half a minute.
fn seconds(registry: &Registry, name: &str, help: &str) -> prometheus::Result<Histogram> {
    let buckets = prometheus::exponential_buckets(0.000_1, 4.0, 10)?;
    registered(registry, Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets)))
}
