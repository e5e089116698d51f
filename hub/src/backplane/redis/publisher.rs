//! Publishes: runs queued operations in their order on a connection (`publish_connection`) that it keeps open. During an outage of
//! Redis they wait, and publishes that Redis has not acknowledged are repeated afterwards. A task on `timely`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use redis::aio::MultiplexedConnection;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};

use super::connector::{Connected, Connector, PING_INTERVAL};
use super::link_error::RedisLinkError;
use super::link_health::{Half, LinkHealth};
use super::operation_queue::RedisOperation;
use super::publish_connection::PublishConnection;
use super::reconnect_backoff::{ReconnectBackoff, peer_reconnect_grace};
use super::records::RecordKeys;
use crate::observability::Metrics;

/// The most operations in one pipeline.
const MAX_BATCH_OPERATIONS: usize = 256;

/// Keeps the publishing connection open and runs queued operations on it.
pub(super) struct Publisher {
    /// Bounded by the permits of the operations.
    pub(super) queue: UnboundedReceiver<RedisOperation>,
    pub(super) connector: Connector,
    pub(super) link: Arc<LinkHealth>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) records: RecordKeys,
}

impl Publisher {
    /// Runs until all senders of the queue are dropped.
    pub(super) async fn run(mut self) {
        let (mut backoff, mut unacknowledged) = (ReconnectBackoff::default(), VecDeque::new());
        loop {
            let error = match self.connector.multiplexed().await {
                Ok(Connected { connection, server }) => {
                    // Pushes of the outage are published only once, so other replicas get time to subscribe again before.
                    if let Some(outage) = backoff.outage() {
                        sleep(peer_reconnect_grace(outage)).await;
                    }
                    let connector = self.connector.clone();
                    self.records.failover_grace = connector.peer_failover_grace(&server);
                    let serve = self.serve(connection, &mut unacknowledged, &mut backoff);
                    match connector.run_while_master(&server, serve).await {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.link.mark_down(Half::Publish, &error.to_string());
            // Lookups do not wait for Redis. Dropping them results in "unknown".
            while let Ok(operation) = self.queue.try_recv() {
                unacknowledged.push_back(operation);
            }
            unacknowledged.retain(|operation| !matches!(operation, RedisOperation::Lookup { .. }));
            sleep(backoff.next_delay()).await;
        }
    }

    async fn serve(
        &mut self,
        connection: MultiplexedConnection,
        unacknowledged: &mut VecDeque<RedisOperation>,
        backoff: &mut ReconnectBackoff,
    ) -> Result<(), RedisLinkError> {
        let mut publisher = PublishConnection::new(connection, &self.records, &self.metrics);
        publisher.detect_record_mode().await?;
        if unacknowledged.is_empty() {
            publisher.ping().await?;
        }
        let mut pinged = Instant::now();
        loop {
            publisher.run_operations(unacknowledged).await?;
            self.link.mark_up(Half::Publish);
            backoff.on_connected();
            let mut received = Vec::new();
            match timeout(PING_INTERVAL, self.queue.recv_many(&mut received, MAX_BATCH_OPERATIONS)).await {
                Ok(0) => return Ok(()),
                Ok(_) => unacknowledged.extend(received),
                Err(_) => {}
            }
            if pinged.elapsed() >= PING_INTERVAL {
                publisher.ping().await?;
                pinged = Instant::now();
            }
        }
    }
}
