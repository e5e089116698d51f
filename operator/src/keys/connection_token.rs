//! Key by which replicas verify each other's connection tokens. No I/O. Random numbers come from the cryptography
//! library.

use std::fmt;

use super::KeyGenerationError;

/// Entry of the Secret `<name>-tokens` that has the key.
pub const CONNECTION_TOKEN_ENTRY: &str = "connection-token.key";

/// Length of a generated key, and the minimum that the hub accepts, in bytes.
const KEY_BYTES: usize = 32;

/// Connection token key, which all replicas of a hub share.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionTokenKey(Vec<u8>);

impl ConnectionTokenKey {
    /// Generates a new key.
    pub fn generate() -> Result<ConnectionTokenKey, KeyGenerationError> {
        let mut bytes = vec![0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyGenerationError)?;
        Ok(ConnectionTokenKey(bytes))
    }

    /// Reads a stored key. Returns `None` if it is too short for the hub.
    pub fn from_bytes(stored: &[u8]) -> Option<ConnectionTokenKey> {
        (stored.len() >= KEY_BYTES).then(|| ConnectionTokenKey(stored.to_vec()))
    }

    /// Returns the bytes of the key.
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
        assert_eq!(ConnectionTokenKey::from_bytes(key.as_bytes()).as_ref(), Some(&key));
        assert_ne!(key, other);
        assert_eq!(ConnectionTokenKey::from_bytes(&[7; 31]), None);
    }
}
