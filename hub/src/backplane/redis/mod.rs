//! A backplane over Redis: what ASP.NET Core SignalR's servers say to each other there, so that they and this hub can serve
//! one fleet (`signalr.md` 9).
//!
//! ```text
//! publish -> reactors                     (at once, whatever Redis does)
//!         -> operations -> publisher -> Redis -> subscriber of every replica -> reactors
//! reactors -> subscriber -> operations       (lookups of missed pushes, records of what devices received)
//! ```
//!
//! Names and bytes perform no I/O (`channel`, `invocation`, `message`, `group_command`, `subscriptions`, `records`, `lookup`).
//! `publisher` and `subscriber` have a connection each, which `connector` opens and `link_health` watches. `operation`
//! is the queue between them.

mod backoff;
mod connector;
mod inflight;
mod link_error;
mod link_health;
mod lookup;
mod operation;
mod publish_buffer;
mod publisher;
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

use self::connector::Connector;
use self::link_health::{Half, LinkHealth};
use self::operation::{OperationQueue, Publish, StoreMode};
use self::publish_buffer::PublishBuffer;
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

/// What is wrong with something that came from Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MalformedMessage(&'static str);

/// Hands deliveries to the reactors of this process, and to those of others through Redis.
#[derive(Clone)]
pub struct RedisBackplane {
    reactors: Arc<Reactors>,
    channels: Channels,
    own: Uuid,
    operations: OperationQueue,
    /// For what Redis has not acknowledged.
    buffer: Arc<PublishBuffer>,
    link: Arc<LinkHealth>,
}

impl RedisBackplane {
    /// Begins to connect to a Redis, from inside a tokio runtime; `presence_events` tells who is here.
    pub fn start(
        redis: &config::RedisConfig,
        settings: &config::BackplaneConfig,
        catch_up: &config::CatchUpConfig,
        installation: Option<Uuid>,
        reactors: Arc<Reactors>,
        presence_events: PresenceReceiver,
        metrics: Arc<Metrics>,
    ) -> RedisBackplane {
        let (own, connector) = (Uuid::new_v4(), Connector(redis.clone()));
        let channels = Channels::new(&settings.channel_prefix);
        let records = RecordKeys::new(
            &settings.channel_prefix,
            catch_up.window,
            catch_up.enabled,
            connector.peer_failover_grace(),
        );
        let link = Arc::new(LinkHealth::new(metrics.clone()));
        let (operations, queue) = operation::queue(metrics.clone());
        let (log_limiter, watermark) = (LogLimiter::default(), presence_events.watermark_sender());
        let handler = MessageHandler {
            channels: channels.clone(),
            own,
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
        let buffer = Arc::new(PublishBuffer::new(settings.hold, settings.hold_bytes));
        RedisBackplane { reactors, channels, own, operations, buffer, link }
    }

    /// Delivers here, and publishes. Gives the number of connections of this process that were reached.
    ///
    /// # Errors
    /// If too much waits for Redis; then nothing was delivered.
    pub(super) async fn publish(&self, delivery: Delivery, mode: PublishMode) -> Result<usize, BufferFull> {
        let Some(channel) = self.channels.name_for(delivery.audience) else {
            return Ok(self.reactors.deliver(delivery, None).await.unwrap_or(0));
        };
        let bytes = Invocation::from_delivery(&delivery, self.own).write();
        let Some(permit) = self.buffer.try_acquire(bytes.len()) else { return Err(BufferFull(Box::new(delivery))) };
        let store_mode = match delivery.audience {
            Audience::LoginRequest(request) => StoreMode::LoginResponse(request),
            audience if delivery.covered => StoreMode::PushTime(audience, delivery.device),
            _ => StoreMode::None,
        };
        let (done, acknowledged) = oneshot::channel();
        let publish = Publish { channel, bytes, store_mode, since: Instant::now(), done, _permit: permit };
        let reached = self.operations.publish(|| self.reactors.deliver(delivery, None), publish);
        // A reactor that is gone reaches nobody.
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

    /// Waits until Redis is there, for both ways.
    pub(super) async fn wait_connected(&self) {
        self.link.wait_all_up().await;
    }

    /// Waits until this replica hears the others.
    pub(super) async fn wait_subscribed(&self) {
        self.link.wait_up(Half::Subscribe).await;
    }

    /// How much waits for Redis.
    pub(super) fn pending_publishes(&self) -> usize {
        self.buffer.pending()
    }
}
