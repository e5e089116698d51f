//! How a delivery reaches every connection that it is for, on whatever replica.

mod local;
pub mod redis;

pub use local::Local;
pub use redis::Redis;

use crate::delivery::Delivery;

/// What carries deliveries to all replicas.
#[derive(Clone)]
pub enum Backplane {
    /// There is one replica.
    Local(Local),
    /// Several share a Redis.
    Redis(Redis),
}

/// How long a publish waits for other replicas; for this one it always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it was handed to them or, while they can't be reached, is kept for them.
    Held,
    /// Until it was handed to them.
    Acknowledged,
}

/// Too much waits already; the delivery went nowhere.
#[derive(Debug, thiserror::Error)]
#[error("too many pushes wait for Redis")]
pub struct Full(pub Box<Delivery>);

impl Backplane {
    /// Delivers, here and elsewhere. Gives the number of connections of this process that were reached.
    ///
    /// # Errors
    /// If there is no room to keep it; then nothing was delivered.
    pub async fn publish(&self, delivery: Delivery, until: Until) -> Result<usize, Full> {
        match self {
            Backplane::Local(local) => Ok(local.publish(delivery).await),
            Backplane::Redis(redis) => redis.publish(delivery, until).await,
        }
    }

    /// Waits until other replicas can be reached.
    pub async fn there(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.there().await,
        }
    }

    /// Waits until this replica hears the others.
    pub async fn heard(&self) {
        match self {
            Backplane::Local(_) => {}
            Backplane::Redis(redis) => redis.heard().await,
        }
    }

    /// How many deliveries other replicas have not got.
    pub fn waiting(&self) -> usize {
        match self {
            Backplane::Local(_) => 0,
            Backplane::Redis(redis) => redis.waiting(),
        }
    }
}
