//! The connections that clients have negotiated: tokens that are given out, and those that have been used.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use aws_lc_rs::rand;

use super::connection_token::{ConnectionTokens, GOOD_FOR, Id};
use crate::connection::Transport;
use crate::delivery::Hub;

/// What a token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not used yet.
    Fresh,
    /// Somebody has connected with it, by this transport.
    Used(Transport),
    /// It is none of ours, of the other hub, or too old.
    Unknown,
}

/// The shortest key of a file, in bytes.
const SHORTEST_KEY: usize = 32;

/// Why there is no key to share.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionTokenKeyError {
    /// The file can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It could be guessed.
    #[error("{} holds less than {SHORTEST_KEY} bytes", .0.display())]
    Short(PathBuf),
}

/// The system's random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// Gives out and takes connection tokens, for the front door and for axum.
pub struct Negotiations {
    tokens: ConnectionTokens,
    used: Mutex<Used>,
}

/// Ids that were used, for as long as their tokens are good.
#[derive(Default)]
struct Used {
    ids: HashMap<Id, Transport>,
    order: VecDeque<(Instant, Id)>,
}

impl Negotiations {
    /// With a key that all replicas share.
    pub fn new(key: &[u8]) -> Negotiations {
        Negotiations { tokens: ConnectionTokens::new(key), used: Mutex::default() }
    }

    /// With the key in a file, but for a line's end behind it. The last of random bytes may look like one, and is needed.
    ///
    /// # Errors
    /// If it can't be read or is too short.
    pub fn by_file(path: &Path) -> Result<Negotiations, ConnectionTokenKeyError> {
        let unread = |source| ConnectionTokenKeyError::Unread { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(unread)?;
        if bytes.len() < SHORTEST_KEY {
            return Err(ConnectionTokenKeyError::Short(path.to_owned()));
        }
        let line = bytes.trim_ascii_end();
        Ok(Negotiations::new(if line.len() < SHORTEST_KEY { &bytes } else { line }))
    }

    /// With a key of this process alone.
    ///
    /// # Errors
    /// If there are no random bytes for it.
    pub fn alone() -> Result<Negotiations, NoRandomness> {
        Ok(Negotiations::new(&random::<32>()?))
    }

    /// A token for one connection to a hub.
    ///
    /// # Errors
    /// If there are no random bytes for it.
    pub fn issue(&self, hub: Hub) -> Result<String, NoRandomness> {
        Ok(self.tokens.issue(hub, random()?, now()))
    }

    /// Takes a token to connect by a transport, and says what it was worth: who finds it fresh may connect, this once.
    pub fn take(&self, token: &str, hub: Hub, transport: Transport) -> Standing {
        let Some(id) = self.tokens.take(token, hub, now()) else { return Standing::Unknown };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while used.order.front().is_some_and(|(at, _)| at.elapsed() > GOOD_FOR) {
            if let Some((_, old)) = used.order.pop_front() {
                used.ids.remove(&old);
            }
        }
        if let Some(transport) = used.ids.get(&id) {
            return Standing::Used(*transport);
        }
        used.ids.insert(id, transport);
        used.order.push_back((Instant::now(), id));
        Standing::Fresh
    }

    /// What a token is worth, which stays as it is.
    pub fn look(&self, token: &str, hub: Hub) -> Standing {
        let Some(id) = self.tokens.take(token, hub, now()) else { return Standing::Unknown };
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.ids.get(&id).map_or(Standing::Fresh, |transport| Standing::Used(*transport))
    }
}

/// Random bytes.
pub(super) fn random<const COUNT: usize>() -> Result<[u8; COUNT], NoRandomness> {
    let mut bytes = [0; COUNT];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Transport = Transport::LongPolling;

    fn issued(negotiations: &Negotiations) -> String {
        negotiations.issue(Hub::Main).expect("randomness")
    }

    #[test]
    fn negotiated_token_is_accepted_once() {
        let negotiations = Negotiations::alone().expect("randomness");
        let token = issued(&negotiations);
        assert_eq!(negotiations.take(&token, Hub::Anonymous, BY), Standing::Unknown);
        assert_eq!(negotiations.look(&token, Hub::Main), Standing::Fresh);
        assert_eq!(negotiations.take(&token, Hub::Main, BY), Standing::Fresh);
        assert_eq!(negotiations.take(&token, Hub::Main, Transport::WebSockets), Standing::Used(BY));
        assert_eq!(negotiations.look(&token, Hub::Main), Standing::Used(BY));
        assert_ne!(issued(&negotiations), token);
    }

    #[test]
    fn connection_token_key_file_missing_or_short_is_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        assert!(matches!(Negotiations::by_file(&file), Err(ConnectionTokenKeyError::Unread { .. })));
        fs::write(&file, "too short\n").expect("a file");
        assert!(matches!(Negotiations::by_file(&file), Err(ConnectionTokenKeyError::Short(_))));
        fs::write(&file, format!("{}\n", "k".repeat(32))).expect("a file");
        let (one, other) = (Negotiations::by_file(&file).expect("a key"), Negotiations::new(&[b'k'; 32]));
        assert_eq!(other.take(&issued(&one), Hub::Main, BY), Standing::Fresh);
    }

    #[test]
    fn connection_token_key_of_32_bytes_keeps_trailing_whitespace() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        for last in [b' ', b'\n', b'\r', b'\t'] {
            let mut key = [b'k'; 32];
            key[31] = last;
            fs::write(&file, key).expect("a file");
            let (one, other) = (Negotiations::by_file(&file).expect("a key"), Negotiations::new(&key));
            assert_eq!(other.take(&issued(&one), Hub::Main, BY), Standing::Fresh);
        }
    }

    #[test]
    fn negotiated_token_is_accepted_by_replica_with_same_key() {
        let (one, other) = (Negotiations::new(b"shared"), Negotiations::new(b"shared"));
        assert_eq!(other.take(&issued(&one), Hub::Main, BY), Standing::Fresh);
        assert_eq!(Negotiations::alone().expect("randomness").take(&issued(&one), Hub::Main, BY), Standing::Unknown);
    }
}
