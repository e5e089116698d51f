//! Issues connection tokens, and redeems each of them once. Used by `reactor-0` and by axum; a mutex guards the redeemed tokens.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use aws_lc_rs::rand;

use super::connection_token::{ConnectionTokenId, ConnectionTokenSigner, TOKEN_TTL};
use crate::signalr::Hub;
use crate::signalr::Transport;

/// The state of a connection token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// The token is valid and was not redeemed.
    Unused,
    /// The token was redeemed, by this transport.
    Used(Transport),
    /// The token is forged, expired or for the other hub.
    Invalid,
}

/// The minimum length of a key file, in bytes.
const MIN_KEY_BYTES: usize = 32;

/// The reason why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionTokenKeyError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The key is too short.
    #[error("{}: the key is too short; give at least {MIN_KEY_BYTES} bytes", .0.display())]
    TooShort(PathBuf),
}

/// The system's random source failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot get random bytes from the system")]
pub struct NoRandomness;

/// Issues and redeems connection tokens, for the reactors and for axum.
pub struct ConnectionTokenRegistry {
    signer: ConnectionTokenSigner,
    used: Mutex<UsedTokens>,
}

/// The ids of redeemed tokens, until the tokens expire.
#[derive(Default)]
struct UsedTokens {
    ids: HashMap<ConnectionTokenId, Transport>,
    /// The time at which each id was redeemed, oldest first.
    order: VecDeque<(Instant, ConnectionTokenId)>,
}

impl ConnectionTokenRegistry {
    /// Creates a registry with a key that all replicas share.
    pub fn new(key: &[u8]) -> ConnectionTokenRegistry {
        ConnectionTokenRegistry { signer: ConnectionTokenSigner::new(key), used: Mutex::default() }
    }

    /// Creates a registry with the key in a file. Strips trailing whitespace, unless the key would be too short without it.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is too short.
    pub fn with_key_file(path: &Path) -> Result<ConnectionTokenRegistry, ConnectionTokenKeyError> {
        let unreadable = |source| ConnectionTokenKeyError::Unreadable { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(unreadable)?;
        if bytes.len() < MIN_KEY_BYTES {
            return Err(ConnectionTokenKeyError::TooShort(path.to_owned()));
        }
        let trimmed = bytes.trim_ascii_end();
        Ok(ConnectionTokenRegistry::new(if trimmed.len() < MIN_KEY_BYTES { &bytes } else { trimmed }))
    }

    /// Creates a registry with a random key, for a single replica.
    ///
    /// # Errors
    /// Returns an error if the system's random source fails.
    pub fn with_random_key() -> Result<ConnectionTokenRegistry, NoRandomness> {
        Ok(ConnectionTokenRegistry::new(&random_bytes::<32>()?))
    }

    /// Issues a token for one connection to a hub.
    ///
    /// # Errors
    /// Returns an error if the system's random source fails.
    pub fn issue(&self, hub: Hub) -> Result<String, NoRandomness> {
        Ok(self.signer.issue(hub, random_bytes()?, now()))
    }

    /// Redeems a token for a transport. Returns the state before: only [`TokenState::Unused`] allows the connection.
    pub fn redeem(&self, token: &str, hub: Hub, transport: Transport) -> TokenState {
        let Some(id) = self.signer.verify(token, hub, now()) else { return TokenState::Invalid };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        while used.order.front().is_some_and(|(at, _)| at.elapsed() > TOKEN_TTL) {
            if let Some((_, old)) = used.order.pop_front() {
                used.ids.remove(&old);
            }
        }
        if let Some(transport) = used.ids.get(&id) {
            return TokenState::Used(*transport);
        }
        used.ids.insert(id, transport);
        used.order.push_back((Instant::now(), id));
        TokenState::Unused
    }

    /// Returns the state of a token without redeeming it.
    pub fn peek(&self, token: &str, hub: Hub) -> TokenState {
        let Some(id) = self.signer.verify(token, hub, now()) else { return TokenState::Invalid };
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.ids.get(&id).map_or(TokenState::Unused, |transport| TokenState::Used(*transport))
    }
}

/// Returns random bytes of the system.
pub(super) fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT], NoRandomness> {
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

    const TRANSPORT: Transport = Transport::LongPolling;

    fn issued(connection_tokens: &ConnectionTokenRegistry) -> String {
        connection_tokens.issue(Hub::Main).expect("randomness")
    }

    #[test]
    fn negotiated_token_is_accepted_once() {
        let connection_tokens = ConnectionTokenRegistry::with_random_key().expect("randomness");
        let token = issued(&connection_tokens);
        assert_eq!(connection_tokens.redeem(&token, Hub::Anonymous, TRANSPORT), TokenState::Invalid);
        assert_eq!(connection_tokens.peek(&token, Hub::Main), TokenState::Unused);
        assert_eq!(connection_tokens.redeem(&token, Hub::Main, TRANSPORT), TokenState::Unused);
        assert_eq!(connection_tokens.redeem(&token, Hub::Main, Transport::WebSockets), TokenState::Used(TRANSPORT));
        assert_eq!(connection_tokens.peek(&token, Hub::Main), TokenState::Used(TRANSPORT));
        assert_ne!(issued(&connection_tokens), token);
    }

    #[test]
    fn connection_token_key_file_missing_or_short_is_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        assert!(matches!(
            ConnectionTokenRegistry::with_key_file(&file),
            Err(ConnectionTokenKeyError::Unreadable { .. })
        ));
        fs::write(&file, "too short\n").expect("a file");
        assert!(matches!(ConnectionTokenRegistry::with_key_file(&file), Err(ConnectionTokenKeyError::TooShort(_))));
        fs::write(&file, format!("{}\n", "k".repeat(32))).expect("a file");
        let (one, other) =
            (ConnectionTokenRegistry::with_key_file(&file).expect("a key"), ConnectionTokenRegistry::new(&[b'k'; 32]));
        assert_eq!(other.redeem(&issued(&one), Hub::Main, TRANSPORT), TokenState::Unused);
    }

    #[test]
    fn connection_token_key_of_32_bytes_keeps_trailing_whitespace() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        for last in [b' ', b'\n', b'\r', b'\t'] {
            let mut key = [b'k'; 32];
            key[31] = last;
            fs::write(&file, key).expect("a file");
            let (one, other) =
                (ConnectionTokenRegistry::with_key_file(&file).expect("a key"), ConnectionTokenRegistry::new(&key));
            assert_eq!(other.redeem(&issued(&one), Hub::Main, TRANSPORT), TokenState::Unused);
        }
    }

    #[test]
    fn negotiated_token_is_accepted_by_replica_with_same_key() {
        let (one, other) = (ConnectionTokenRegistry::new(b"shared"), ConnectionTokenRegistry::new(b"shared"));
        assert_eq!(other.redeem(&issued(&one), Hub::Main, TRANSPORT), TokenState::Unused);
        assert_eq!(
            ConnectionTokenRegistry::with_random_key().expect("randomness").redeem(&issued(&one), Hub::Main, TRANSPORT),
            TokenState::Invalid
        );
    }
}
