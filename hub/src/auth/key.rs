//! One verification key, bound to its one algorithm, and the forms that it is read from. Pure.
//!
//! A key is never tried with another algorithm than its own: a public key can't be used as an HS256 secret.

use std::sync::Arc;

use aws_lc_rs::rsa;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// The shortest HS256 secret that is accepted, in bytes.
pub const SHORTEST_SECRET: usize = 32;

/// The shortest RSA modulus that is accepted, in bytes.
const SHORTEST_MODULUS: usize = 256;

/// The length of an uncompressed point on P-256, in bytes.
const P256_POINT: usize = 65;

/// A key that tokens are verified with.
pub struct Key {
    /// The only algorithm that this key verifies.
    pub algorithm: Algorithm,
    /// The key's id, if its file tells one.
    pub id: Option<String>,
    /// The only issuer whose tokens it verifies, if that is known.
    pub issuer: Option<Arc<str>>,
    verifying: DecodingKey,
}

/// Why a key could not be read. Says nothing of the key's content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not a PEM block of a kind that is known.
    #[error("it is no PEM of a P-256 key or of an RSA key of at least 2048 bits (public, or private in PKCS#8)")]
    Pem,
    /// A certificate where a key belongs.
    #[error("it is a certificate; give its public key (openssl x509 -pubkey -noout)")]
    Certificate,
    /// A secret that could be guessed.
    #[error("a secret has to have at least {SHORTEST_SECRET} bytes, this one has {0}")]
    ShortSecret(usize),
    /// No JWK set.
    #[error("it is no JWK set: {0}")]
    Jwks(String),
    /// A JWK set without a single key that can verify RS256 or ES256.
    #[error("the JWK set has no key for RS256 or ES256")]
    EmptyJwks,
}

impl Key {
    /// Reads a PEM: a public key, or a private one whose public half is taken.
    pub fn from_pem(pem: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::Pem)?;
        if text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(KeyError::Certificate);
        }
        let read = if text.contains("PRIVATE KEY-----") { public_half } else { public_key };
        let (algorithm, verifying) = read(pem).ok_or(KeyError::Pem)?;
        Ok(Key { algorithm, id: None, issuer: None, verifying })
    }

    /// Takes an HS256 secret; white space at its end (an editor's newline) does not count.
    pub fn from_secret(secret: &[u8]) -> Result<Key, KeyError> {
        let secret = secret.trim_ascii_end();
        if secret.len() < SHORTEST_SECRET {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Key { algorithm: Algorithm::HS256, id: None, issuer: None, verifying: DecodingKey::from_secret(secret) })
    }

    /// Reads the RS256 and ES256 keys of a JWK set; keys for other uses are passed over.
    pub fn from_jwks(json: &[u8]) -> Result<Vec<Key>, KeyError> {
        #[derive(serde::Deserialize)]
        struct Set {
            // Each key by itself, so that one of an unknown kind does not spoil the others.
            keys: Vec<serde_json::Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|error| KeyError::Jwks(error.to_string()))?;
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok());
        let keys: Vec<Key> = known.filter_map(|jwk| Key::from_jwk(&jwk)).collect();
        if keys.is_empty() { Err(KeyError::EmptyJwks) } else { Ok(keys) }
    }

    fn from_jwk(jwk: &Jwk) -> Option<Key> {
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::EllipticCurve(_), None | Some(KeyAlgorithm::ES256)) => Algorithm::ES256,
            _ => return None,
        };
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return None;
        }
        let verifying = DecodingKey::from_jwk(jwk).ok()?;
        Some(Key { algorithm, id: jwk.common.key_id.clone(), issuer: None, verifying })
    }

    /// The same key, of an issuer.
    pub fn of(mut self, issuer: Arc<str>) -> Key {
        self.issuer = Some(issuer);
        self
    }

    /// Whether this key made the signature (base64url) over `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.verifying, self.algorithm).unwrap_or(false)
    }
}

fn public_key(pem: &[u8]) -> Option<(Algorithm, DecodingKey)> {
    let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key));
    let (algorithm, key) = rsa.or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key))).ok()?;
    // A short RSA key, or one on another curve, would be taken and then verify nothing.
    let bytes = key.try_get_as_bytes().ok()?;
    let usable = match algorithm {
        Algorithm::RS256 => rsa::PublicKey::from_der(bytes).is_ok_and(|key| key.modulus_len() >= SHORTEST_MODULUS),
        _ => bytes.len() == P256_POINT,
    };
    usable.then_some((algorithm, key))
}

fn public_half(pem: &[u8]) -> Option<(Algorithm, DecodingKey)> {
    let (algorithm, signing) = signing_key(pem)?;
    let jwk = Jwk::from_encoding_key(&signing, algorithm).ok()?;
    Some((algorithm, DecodingKey::from_jwk(&jwk).ok()?))
}

/// A private key from its PEM, with the algorithm that it signs.
pub(super) fn signing_key(pem: &[u8]) -> Option<(Algorithm, EncodingKey)> {
    let rsa = EncodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key));
    rsa.or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(Key::from_secret(b"short\n").err(), Some(KeyError::ShortSecret(5)));
        assert!(Key::from_secret(&[b'x'; 32]).is_ok());
    }

    #[test]
    fn what_is_no_key_says_so() {
        assert_eq!(Key::from_pem(b"hello").err(), Some(KeyError::Pem));
        assert_eq!(Key::from_pem(b"-----BEGIN CERTIFICATE-----\n").err(), Some(KeyError::Certificate));
        assert_eq!(Key::from_jwks(b"{\"keys\":[]}").err(), Some(KeyError::EmptyJwks));
        assert!(matches!(Key::from_jwks(b"{").err(), Some(KeyError::Jwks(_))));
    }
}
