//! What a request that axum serves may take: a place among so many, and so long.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

/// One request's, with which it travels.
#[derive(Clone)]
pub struct RequestBudget {
    /// The other end of the connection: a client or a proxy.
    pub peer: IpAddr,
    permit: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    deadline: Arc<watch::Sender<Option<Instant>>>,
}

impl RequestBudget {
    /// A place, unless the connection has one, for so long.
    pub fn new(peer: IpAddr, permit: Option<OwnedSemaphorePermit>, timeout: Duration) -> RequestBudget {
        let deadline = watch::Sender::new(Some(Instant::now() + timeout));
        RequestBudget { peer, permit: Arc::new(Mutex::new(permit)), deadline: Arc::new(deadline) }
    }

    /// The connection waits for what may come much later: it takes no place among those that are served, and has all the time
    /// that it wants until [`RequestBudget::set_deadline`].
    pub fn detach(&self) {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.deadline.send_replace(None);
    }

    /// The connection has so long from now.
    pub fn set_deadline(&self, timeout: Duration) {
        self.deadline.send_replace(Some(Instant::now() + timeout));
    }

    /// Waits until the time is over.
    pub async fn expired(&self) {
        let mut deadline = self.deadline.subscribe();
        loop {
            let now = *deadline.borrow_and_update();
            let end = async {
                match now {
                    Some(end) => sleep_until(end).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = end => return,
                // It is told as long as this lease lives.
                _ = deadline.changed() => {}
            }
        }
    }
}
