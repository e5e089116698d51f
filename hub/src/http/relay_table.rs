//! The relays of this replica, by connection token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::connection_token::TOKEN_TTL;
use super::relay::Relay;

/// The most clients with bytes that are buffered before the client is connected.
const MAX_EARLY_CLIENTS: usize = 256;

/// The time without a poll after which a client is disconnected.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The relays by connection token. Shared by the requests that axum serves.
pub struct RelayTable {
    table: Mutex<Table>,
    max_relays: usize,
}

#[derive(Default)]
struct Table {
    open: HashMap<String, Arc<Relay>>,
    /// Bytes that clients sent before they were connected, with the time of the first.
    early: HashMap<String, (Instant, Vec<u8>)>,
}

impl RelayTable {
    /// Creates a table for `max_relays` relays. Each costs three file descriptors and a few kilobytes.
    pub fn new(max_relays: usize) -> RelayTable {
        RelayTable { table: Mutex::default(), max_relays }
    }

    /// Returns the relay of a token, or `None` if its client is not connected.
    pub fn get(&self, token: &str) -> Option<Arc<Relay>> {
        self.table().open.get(token).cloned()
    }

    /// Returns `true` if there is room for another relay.
    pub fn has_room(&self) -> bool {
        self.table().open.len() < self.max_relays
    }

    /// Inserts a relay. Returns the bytes that its client sent before, or `None` if there is no room.
    pub fn insert(&self, token: &str, relay: Arc<Relay>) -> Option<Vec<u8>> {
        let mut table = self.table();
        if table.open.len() >= self.max_relays {
            return None;
        }
        table.open.insert(token.to_owned(), relay);
        Some(table.early.remove(token).map_or_else(Vec::new, |(_, bytes)| bytes))
    }

    /// Removes a relay and returns it.
    pub fn remove(&self, token: &str) -> Option<Arc<Relay>> {
        self.table().open.remove(token)
    }

    /// Buffers bytes that a client sends before it is connected. Returns `false` if there is no room.
    pub fn buffer_early(&self, token: &str, bytes: &[u8], max_bytes: usize) -> bool {
        let mut table = self.table();
        table.early.retain(|_, (since, _)| since.elapsed() < TOKEN_TTL);
        let (clients, known) = (table.early.len(), table.early.get(token));
        let buffered = known.map_or(0, |(_, bytes)| bytes.len());
        if buffered + bytes.len() > max_bytes || (known.is_none() && clients >= MAX_EARLY_CLIENTS) {
            return false;
        }
        table.early.entry(token.to_owned()).or_insert_with(|| (Instant::now(), Vec::new())).1.extend_from_slice(bytes);
        true
    }

    /// Removes a relay once it has had no poll for [`DISCONNECT_TIMEOUT`].
    pub async fn reap_when_idle(&self, token: String, relay: Weak<Relay>) {
        while let Some(idle) = relay.upgrade().map(|relay| relay.idle_for()) {
            if idle >= DISCONNECT_TIMEOUT {
                self.remove(&token);
                return;
            }
            tokio::time::sleep(DISCONNECT_TIMEOUT - idle).await;
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_early_is_limited_by_bytes_and_by_clients() {
        let relays = RelayTable::new(1);
        assert!(relays.buffer_early("a", b"1234", 6) && relays.buffer_early("a", b"56", 6));
        assert!(!relays.buffer_early("a", b"7", 6) && relays.buffer_early("a", b"", 6));
        let buffered = relays.table().early.remove("a").map(|(_, bytes)| bytes);
        assert_eq!(buffered.as_deref(), Some(&b"123456"[..]));
        for number in 0..MAX_EARLY_CLIENTS {
            assert!(relays.buffer_early(&number.to_string(), b"1", 6));
        }
        assert!(!relays.buffer_early("one more", b"1", 6) && relays.buffer_early("0", b"2", 6));
    }
}
