//! How a delivery reaches every connection that it is for, on whatever replica.

mod local;
pub mod redis;

pub use local::LocalBackplane;
pub use redis::RedisBackplane;

use crate::delivery::Delivery;

/// What carries deliveries to all replicas.
#[derive(Clone)]
pub enum Backplane {
    /// There is one replica.
    Local(LocalBackplane),
    /// Several share a Redis.
    Redis(RedisBackplane),
}

/// How long a publish waits for other replicas; for this one it always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishMode {
    /// Until it was handed to them or, while they can't be reached, is kept for them.
    AckOrBuffer,
    /// Until it was handed to them.
    WaitForAck,
}

/// Too much waits already; the delivery went nowhere.
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

    /// Waits until other replicas can be reached.
    pub async fn wait_connected(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.wait_connected().await,
        }
    }

    /// Waits until this replica hears the others.
    pub async fn wait_subscribed(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.wait_subscribed().await,
        }
    }

    /// How many deliveries other replicas have not got.
    pub fn pending_publishes(&self) -> usize {
        match self {
            Backplane::Local(_) => 0,
            Backplane::Redis(redis) => redis.pending_publishes(),
        }
    }
}
