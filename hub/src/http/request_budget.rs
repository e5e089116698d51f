//! The budget of a request that axum serves: a concurrency permit and a deadline.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

/// The budget of one request, passed along with it.
#[derive(Clone)]
pub struct RequestBudget {
    /// The address of the peer: a client or a proxy.
    pub peer: IpAddr,
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    deadline: Arc<watch::Sender<Option<Instant>>>,
}

impl RequestBudget {
    /// Creates a budget. `permit` is `None` if the connection holds the permit.
    pub fn new(peer: IpAddr, permit: Option<OwnedSemaphorePermit>, timeout: Duration) -> RequestBudget {
        let deadline = watch::Sender::new(Some(Instant::now() + timeout));
        RequestBudget { peer, permit: Arc::new(Mutex::new(permit)), deadline: Arc::new(deadline) }
    }

    /// Releases the permit and removes the deadline, because the request waits for a push. [`Self::set_deadline`] sets a new one.
    pub fn detach(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.deadline.send_replace(None);
    }

    /// Sets the deadline to `timeout` from now.
    pub fn set_deadline(&self, timeout: Duration) {
        self.deadline.send_replace(Some(Instant::now() + timeout));
    }

    /// Waits until the deadline has passed.
    pub async fn expired(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let current = *deadline.borrow_and_update();
            let expired = async {
                match current {
                    Some(end) => sleep_until(end).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = expired => return,
                // The sender lives as long as this budget.
                _ = deadline.changed() => {}
            }
        }
    }
}
