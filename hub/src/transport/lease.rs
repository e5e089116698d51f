//! What a request that axum serves may take: a place among so many, and so long.

use std::future::pending;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

/// One request's, with which it travels.
#[derive(Clone)]
pub struct Lease {
    /// The other end of the connection: a client or a proxy.
    pub peer: IpAddr,
    place: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
    until: Arc<watch::Sender<Option<Instant>>>,
}

impl Lease {
    /// A place, unless the connection has one, for so long.
    pub fn new(peer: IpAddr, place: Option<OwnedSemaphorePermit>, term: Duration) -> Lease {
        let until = watch::Sender::new(Some(Instant::now() + term));
        Lease { peer, place: Arc::new(Mutex::new(place)), until: Arc::new(until) }
    }

    /// The connection waits for what may come much later: it takes no place among those that are served, and has all the time
    /// that it wants until [`Lease::end_within`].
    pub fn wait(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.until.send_replace(None);
    }

    /// The connection has so long from now.
    pub fn end_within(&self, term: Duration) {
        self.until.send_replace(Some(Instant::now() + term));
    }

    /// Waits until the time is over.
    pub async fn over(&self) {
        let mut until = self.until.subscribe();
        loop {
            let now = *until.borrow_and_update();
            let end = async {
                match now {
                    Some(end) => sleep_until(end).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = end => return,
                // It is told as long as this lease lives.
                _ = until.changed() => {}
            }
        }
    }
}
