//! The backplane of a hub with one replica.

use std::sync::Arc;

use crate::delivery::Delivery;
use crate::reactor::Reactors;

/// Passes deliveries to the reactors of this process.
#[derive(Clone)]
pub struct LocalBackplane {
    reactors: Arc<Reactors>,
}

impl LocalBackplane {
    /// Creates a backplane for the reactors of this process.
    pub fn new(reactors: Arc<Reactors>) -> LocalBackplane {
        LocalBackplane { reactors }
    }

    /// Delivers, and waits until the frames are written or queued for their sockets. Returns the number of connections reached.
    pub async fn publish(&self, delivery: Delivery) -> usize {
        // The sender is dropped if the reactors have ended.
        self.reactors.deliver(delivery, None).await.unwrap_or(0)
    }
}
