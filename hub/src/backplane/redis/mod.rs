//! A backplane over Redis in the format of ASP.NET Core SignalR, so that its servers and this hub can share clients
//! (`signalr.md` 9).
//!
//! ```text
//! publish -> reactors                     (at once, without waiting for Redis)
//!         -> operations -> publisher -> Redis -> subscriber of every replica -> reactors
//! reactors -> subscriber -> operations       (lookups of missed pushes, records of what devices received)
//! ```
//!
//! `wire` (names and messages), `subscriptions`, `records` and `lookup` perform no I/O. `publisher` and `subscriber` are tasks
//! on the `timely` thread. Each has a connection that `connector` opens; `publish_connection` runs the publisher's operations on
//! it. `link_health` has the state of both connections.
//! `operation_queue` is the queue of the publisher. `diagnosis` is for the command `doctor`.

mod address;
mod cluster_owner;
mod connector;
pub mod diagnosis;
mod inflight;
mod link_error;
mod link_health;
mod lookup;
mod operation_queue;
mod publish_connection;
mod publish_permits;
mod publisher;
mod reconnect_backoff;
pub mod records;
mod role;
mod sentinel;
mod subscriber;
pub mod subscriptions;
pub mod wire;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

pub use self::link_error::RedisLinkError;

use self::connector::Connector;
use self::link_health::{Half, LinkHealth};
use self::operation_queue::{OperationQueue, Publish, StoreMode};
use self::publish_permits::PublishPermits;
use self::publisher::Publisher;
use self::records::RecordKeys;
use self::subscriber::{MessageHandler, PresenceState, Subscriber};
use self::wire::channel::Channels;
use self::wire::invocation::Invocation;
use super::{BufferFull, PublishMode};
use crate::config;
use crate::delivery::{Audience, Delivery};
use crate::observability::{LogLimiter, Metrics};
use crate::reactor::{PresenceReceiver, Reactors};

/// The reason why a message from Redis is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedMessage(&'static str);

/// Passes deliveries to the reactors of this process, and through Redis to those of other processes.
#[derive(Clone)]
pub struct RedisBackplane {
    reactors: Arc<Reactors>,
    channels: Channels,
    /// The id under which this process publishes.
    own_id: Uuid,
    operations: OperationQueue,
    /// Bounds the publishes that Redis has not acknowledged.
    permits: Arc<PublishPermits>,
    link: Arc<LinkHealth>,
}

impl RedisBackplane {
    /// Starts the publisher and the subscriber as tasks of the current tokio runtime. `presence_events` reports the clients of
    /// this process.
    pub fn start(
        redis: &config::RedisConfig,
        settings: &config::BackplaneConfig,
        catch_up: &config::CatchUpConfig,
        installation: Option<Uuid>,
        reactors: Arc<Reactors>,
        presence_events: PresenceReceiver,
        metrics: Arc<Metrics>,
    ) -> RedisBackplane {
        let own_id = Uuid::new_v4();
        let channels = Channels::new(&settings.channel_prefix);
        let records = RecordKeys::new(&settings.channel_prefix, catch_up.window, catch_up.enabled);
        let connector = Connector { settings: redis.clone(), record_key: records.response_key(Uuid::nil()) };
        let link = Arc::new(LinkHealth::new(metrics.clone()));
        let (operations, queue) = operation_queue::queue(metrics.clone());
        let (log_limiter, watermark) = (LogLimiter::default(), presence_events.watermark_sender());
        let handler = MessageHandler {
            channels: channels.clone(),
            own_id,
            reactors: reactors.clone(),
            log_limiter,
            watermark,
            metrics: metrics.clone(),
        };
        let presence = PresenceState::new(presence_events, installation, operations.clone());
        tokio::spawn(
            Subscriber { connector: connector.clone(), link: link.clone(), presence, handler, spread: catch_up.spread }
                .run(),
        );
        tokio::spawn(Publisher { queue, connector, link: link.clone(), metrics, records }.run());
        let permits = Arc::new(PublishPermits::new(settings.max_pending_pushes, settings.max_pending_bytes));
        RedisBackplane { reactors, channels, own_id, operations, permits, link }
    }

    /// Delivers on this replica, and publishes. Returns the number of connections of this process that were reached.
    ///
    /// # Errors
    /// Returns [`BufferFull`] if there is no room for another publish. Nothing was delivered then.
    pub(super) async fn publish(&self, delivery: Delivery, mode: PublishMode) -> Result<usize, BufferFull> {
        let Some(channel) = self.channels.name_for(delivery.audience) else {
            return Ok(self.reactors.deliver(delivery, None).await.unwrap_or(0));
        };
        let bytes = Invocation::from_delivery(&delivery, self.own_id).write();
        let Some(permit) = self.permits.try_acquire(bytes.len()) else { return Err(BufferFull(Box::new(delivery))) };
        let store_mode = match delivery.audience {
            Audience::LoginRequest(request) => StoreMode::LoginResponse(request),
            audience if delivery.covered => StoreMode::PushTime(audience, delivery.device),
            _ => StoreMode::None,
        };
        let (done, acknowledged) = oneshot::channel();
        let publish = Publish { channel, bytes, store_mode, since: Instant::now(), done, _permit: permit };
        let reached = self.operations.publish(|| self.reactors.deliver(delivery, None), publish);
        // The sender is dropped if the reactors have ended.
        let reached = reached.await.unwrap_or(0);
        match mode {
            PublishMode::WaitForAck => _ = acknowledged.await,
            PublishMode::AckOrBuffer => tokio::select! {
                _ = acknowledged => {}
                () = self.link.wait_down(Half::Publish) => {}
            },
        }
        Ok(reached)
    }

    /// Waits until both connections to Redis are up.
    pub(super) async fn wait_connected(&self) {
        self.link.wait_all_up().await;
    }

    /// Waits until this replica is subscribed to its channels.
    pub(super) async fn wait_subscribed(&self) {
        self.link.wait_up(Half::Subscribe).await;
    }

    /// Returns the number of publishes that Redis has not acknowledged.
    pub(super) fn pending_publishes(&self) -> usize {
        self.permits.pending()
    }
}
