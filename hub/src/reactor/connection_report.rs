//! Reports connections in the metrics and the log: attempts, connects, slow clients, disconnects. Runs on the reactor's thread.

use std::sync::Arc;

use super::sockets::connection::Connection;
use crate::observability::Metrics;
use crate::signalr::CloseReason;
use crate::signalr::protocol::Protocol;

/// The reports of one reactor.
pub(super) struct ConnectionReport(Arc<Metrics>);

impl ConnectionReport {
    /// Creates the reports that count in `metrics`.
    pub(super) fn new(metrics: Arc<Metrics>) -> ConnectionReport {
        ConnectionReport(metrics)
    }

    /// Reports the outcome of an attempt to connect.
    pub(super) fn on_attempt(&self, outcome: &str) {
        self.0.connection_attempts.inc(outcome);
    }

    /// Reports a client whose handshake succeeded.
    pub(super) fn on_connected(&self, connection: &Connection, protocol: Protocol) {
        self.0.connected(connection.hub, connection.client_type, protocol, connection.transport()).inc();
        tracing::debug!(id = ?connection.id(), protocol = protocol.name(), "client connected");
    }

    /// Reports a frame that its socket did not take, and what was done with it.
    pub(super) fn on_slow(&self, action: &str) {
        self.0.slow_consumer_actions.inc(action);
    }

    /// Reports the end of a connection.
    pub(super) fn on_closed(&self, connection: &Connection, close_reason: &CloseReason) {
        let metrics = &self.0;
        if let Some(protocol) = connection.registered_protocol() {
            metrics.connected(connection.hub, connection.client_type, protocol, connection.transport()).dec();
        }
        metrics.connections_closed.inc(close_reason.label());
        if let CloseReason::Handshake(error) = close_reason {
            metrics.handshake_failures.inc(error.label());
        }
        tracing::debug!(id = ?connection.id(), reason = close_reason.label(), detail = ?close_reason, "client disconnected");
        if *close_reason == CloseReason::SlowConsumer {
            metrics.slow_consumer_actions.inc("reset");
            let lost = connection.uncovered();
            if lost > 0 {
                metrics.slow_consumer_pushes_dropped.inc_by(lost as u64);
                tracing::warn!(id = ?connection.id(), lost, "slow client reset; pushes that no sync covers are lost");
            }
        }
    }
}
