//! Carries deliveries to the connections of their audience on every replica. `publish` is called by the push pipeline: on the
//! tokio worker for `/send`, on `timely` for the queue.

mod local;
pub mod redis;

pub use local::LocalBackplane;
pub use redis::RedisBackplane;

use crate::delivery::Delivery;

/// The backplane of this process.
#[derive(Clone)]
pub enum Backplane {
    /// For a single replica.
    Local(LocalBackplane),
    /// For several replicas that share a Redis.
    Redis(RedisBackplane),
}

/// The condition for which a publish waits, after the reactors of this replica have delivered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishMode {
    /// Redis has acknowledged the publish, or it is buffered while Redis is unavailable.
    AckOrBuffer,
    /// Redis has acknowledged the publish.
    WaitForAck,
}

/// The publish buffer is full. Nothing was delivered.
#[derive(Debug, thiserror::Error)]
#[error("too many pushes wait for Redis")]
pub struct BufferFull(pub Box<Delivery>);

impl Backplane {
    /// Delivers on this replica and on the others. Returns the number of connections of this process that were reached.
    ///
    /// # Errors
    /// Returns [`BufferFull`] if the publish buffer is full. Nothing was delivered then.
    pub async fn publish(&self, delivery: Delivery, mode: PublishMode) -> Result<usize, BufferFull> {
        match self {
            Backplane::Local(local) => Ok(local.publish(delivery).await),
            Backplane::Redis(redis) => redis.publish(delivery, mode).await,
        }
    }

    /// Waits until both connections to Redis are up.
    pub async fn wait_connected(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.wait_connected().await,
        }
    }

    /// Waits until this replica is subscribed to the channels of the backplane.
    pub async fn wait_subscribed(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.wait_subscribed().await,
        }
    }

    /// Returns the number of publishes that Redis has not acknowledged.
    pub fn pending_publishes(&self) -> usize {
        match self {
            Backplane::Local(_) => 0,
            Backplane::Redis(redis) => redis.pending_publishes(),
        }
    }
}
