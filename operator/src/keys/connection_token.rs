//! The key by which replicas know each other's connection tokens. No I/O; random numbers come from the cryptography
//! library.

use std::fmt;

use super::NoKey;

/// Entry of the Secret `<name>-tokens`.
pub const CONNECTION_TOKEN_ENTRY: &str = "connection-token.key";

/// How many bytes are made. The hub takes no fewer.
const LENGTH: usize = 32;

/// A secret that all replicas of a hub have.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionTokenKey(Vec<u8>);

impl ConnectionTokenKey {
    /// Makes a new one.
    pub fn generate() -> Result<ConnectionTokenKey, NoKey> {
        let mut bytes = vec![0; LENGTH];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoKey)?;
        Ok(ConnectionTokenKey(bytes))
    }

    /// Takes one as it was stored; none if the hub would not take it.
    pub fn read(stored: &[u8]) -> Option<ConnectionTokenKey> {
        (stored.len() >= LENGTH).then(|| ConnectionTokenKey(stored.to_vec()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ConnectionTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionTokenKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_token_key_round_trips_and_is_unique() {
        let [key, other] = [(); 2].map(|()| ConnectionTokenKey::generate().expect("a key"));
        assert_eq!(ConnectionTokenKey::read(key.as_bytes()).as_ref(), Some(&key));
        assert_ne!(key, other);
        assert_eq!(ConnectionTokenKey::read(&[7; 31]), None);
    }
}
