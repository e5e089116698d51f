//! The backplane of a hub with one replica.

use std::sync::Arc;

use crate::delivery::Delivery;
use crate::reactor::Reactors;

/// Hands deliveries to the reactors of this process.
#[derive(Clone)]
pub struct LocalBackplane {
    reactors: Arc<Reactors>,
}

impl LocalBackplane {
    /// A backplane in front of these reactors.
    pub fn new(reactors: Arc<Reactors>) -> LocalBackplane {
        LocalBackplane { reactors }
    }

    /// Delivers; when it returns, the frames are written or wait for their sockets. Gives the number of connections that
    /// were reached.
    pub async fn publish(&self, delivery: Delivery) -> usize {
        // A reactor that is gone reaches nobody.
        self.reactors.deliver(delivery, None).await.unwrap_or(0)
    }
}
