//! The clients that are connected by other than a WebSocket, by the token of their negotiation. They are on this replica alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::Bytes;

use super::connection_token::GOOD_FOR;
use super::relay::Relay;

/// How many there may be at once: each costs three descriptors and a few kilobytes.
const MOST: usize = 1024;

/// How many clients may have spoken before they are connected.
const MOST_EARLY: usize = 256;

/// A client that nobody listens for so long is gone (`signalr.md` 2.5).
const IDLE: Duration = Duration::from_secs(15);

/// The table.
#[derive(Default)]
pub struct Relays(Mutex<Table>);

#[derive(Default)]
struct Table {
    open: HashMap<String, Arc<Relay>>,
    /// What clients have said before they were connected, and when.
    early: HashMap<String, (Instant, Vec<Bytes>)>,
}

impl Relays {
    /// The client of a token.
    pub fn find(&self, token: &str) -> Option<Arc<Relay>> {
        self.table().open.get(token).cloned()
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.table().open.len() < MOST
    }

    /// Keeps a client, and gives back what it has said before.
    pub fn add(&self, token: &str, relay: Arc<Relay>) -> Vec<Bytes> {
        let mut table = self.table();
        table.open.insert(token.to_owned(), relay);
        table.early.remove(token).map_or_else(Vec::new, |(_, said)| said)
    }

    /// Forgets a client.
    pub fn remove(&self, token: &str) -> Option<Arc<Relay>> {
        self.table().open.remove(token)
    }

    /// Keeps what a client says before it is connected; false if there is no room.
    pub fn keep_early(&self, token: &str, said: Bytes, largest: usize) -> bool {
        let mut table = self.table();
        table.early.retain(|_, (since, _)| since.elapsed() < GOOD_FOR);
        let (clients, known) = (table.early.len(), table.early.get(token));
        let kept: usize = known.map_or(0, |(_, said)| said.iter().map(Bytes::len).sum());
        if kept + said.len() > largest || (known.is_none() && clients >= MOST_EARLY) {
            return false;
        }
        table.early.entry(token.to_owned()).or_insert_with(|| (Instant::now(), Vec::new())).1.push(said);
        true
    }

    /// Forgets a client once nobody has listened for it for too long.
    pub async fn watch(&self, token: String, relay: Weak<Relay>) {
        while let Some(idle) = relay.upgrade().map(|relay| relay.idle()) {
            if idle >= IDLE {
                self.remove(&token);
                return;
            }
            tokio::time::sleep(IDLE - idle).await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
