//! How a delivery reaches every connection that it is for, on whatever replica.

mod local;
pub mod redis;

pub use local::LocalBackplane;
pub use redis::RedisBackplane;

use crate::delivery::Delivery;

/// Carries deliveries to all replicas.
#[derive(Clone)]
pub enum Backplane {
    /// There is one replica.
    Local(LocalBackplane),
    /// Several share a Redis.
    Redis(RedisBackplane),
}

/// What a publish waits for. It always waits for the reactors of this replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishMode {
    /// Until Redis has acknowledged it or, while Redis cannot be reached, it is buffered.
    AckOrBuffer,
    /// Until Redis has acknowledged it.
    WaitForAck,
}

/// The publish buffer is full; nothing was delivered.
#[derive(Debug, thiserror::Error)]
#[error("too many pushes wait for Redis")]
pub struct BufferFull(pub Box<Delivery>);

impl Backplane {
    /// Delivers, here and elsewhere. Gives the number of connections of this process that were reached.
    ///
    /// # Errors
    /// If there is no room to keep it; then nothing was delivered.
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

    /// Returns how many publishes Redis has not acknowledged.
    pub fn pending_publishes(&self) -> usize {
        match self {
            Backplane::Local(_) => 0,
            Backplane::Redis(redis) => redis.pending_publishes(),
        }
    }
}
