//! One verification key, bound to its one algorithm, and the forms that it is read from. No I/O.
//!
//! A key is never tried with another algorithm than its own: a public key can't be used as an HS256 secret.

use std::sync::Arc;

use aws_lc_rs::rsa;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// The shortest HS256 secret that is accepted, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// The shortest RSA modulus that is accepted, in bytes.
pub(crate) const MIN_MODULUS_BYTES: usize = 256;

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
    #[error("a secret has to have at least {MIN_SECRET_BYTES} bytes, this one has {0}")]
    ShortSecret(usize),
    /// No JWK set. Only the place is told: the text may hold secrets.
    #[error("it is not a JWK set (see line {line}, column {column})")]
    Jwks {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// A JWK set without a single key that can verify RS256 or ES256.
    #[error("the JWK set has no key for RS256 or ES256")]
    EmptyJwks,
}

impl Key {
    /// Builds a key of no issuer.
    pub(crate) fn new(algorithm: Algorithm, id: Option<String>, verifying: DecodingKey) -> Key {
        Key { algorithm, id, issuer: None, verifying }
    }

    /// Reads a PEM: a public key, or a private one whose public half is taken.
    pub fn from_pem(pem: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::Pem)?;
        if text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(KeyError::Certificate);
        }
        let read = if text.contains("PRIVATE KEY-----") { public_half } else { public_key };
        let (algorithm, verifying) = read(pem).ok_or(KeyError::Pem)?;
        Ok(Key::new(algorithm, None, verifying))
    }

    /// Takes an HS256 secret; white space at its end (an editor's newline) does not count.
    pub fn from_secret(secret: &[u8]) -> Result<Key, KeyError> {
        let secret = secret.trim_ascii_end();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Key::new(Algorithm::HS256, None, DecodingKey::from_secret(secret)))
    }

    /// The same key, of an issuer.
    pub fn with_issuer(mut self, issuer: Arc<str>) -> Key {
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
        Algorithm::RS256 => rsa::PublicKey::from_der(bytes).is_ok_and(|key| key.modulus_len() >= MIN_MODULUS_BYTES),
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
pub(crate) fn signing_key(pem: &[u8]) -> Option<(Algorithm, EncodingKey)> {
    let rsa = EncodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key));
    rsa.or_else(|_| EncodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_secret_below_32_bytes_is_rejected() {
        assert_eq!(Key::from_secret(b"short\n").err(), Some(KeyError::ShortSecret(5)));
        assert!(Key::from_secret(&[b'x'; 32]).is_ok());
    }

    #[test]
    fn pem_without_a_usable_key_is_rejected_with_reason() {
        assert_eq!(Key::from_pem(b"hello").err(), Some(KeyError::Pem));
        assert_eq!(Key::from_pem(b"-----BEGIN CERTIFICATE-----\n").err(), Some(KeyError::Certificate));
    }
}
