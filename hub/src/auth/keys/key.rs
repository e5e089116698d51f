//! A verification key and its formats: PEM and HS256 secret. No I/O.
//!
//! A key verifies only its own algorithm, so a public key cannot be misused as an HS256 secret.

use std::sync::Arc;

use aws_lc_rs::rsa;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// The minimum length of an HS256 secret, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// The minimum length of an RSA modulus, in bytes.
pub(crate) const MIN_MODULUS_BYTES: usize = 256;

/// The length of an uncompressed point on P-256, in bytes.
const P256_POINT_BYTES: usize = 65;

/// A key that tokens are verified with.
pub struct Key {
    /// The only algorithm that this key verifies.
    pub algorithm: Algorithm,
    /// The key's id: the `kid` in its JWK set, if there is one.
    pub id: Option<String>,
    /// The only issuer whose tokens the key verifies. `None`: any issuer.
    pub issuer: Option<Arc<str>>,
    verifying: DecodingKey,
}

/// The reason why a key cannot be read. Quotes nothing of the key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// The PEM has no key of a supported kind.
    #[error("no P-256 key or RSA key of at least 2048 bits in PEM; give a public key, or a private key in PKCS#8")]
    Pem,
    /// The PEM is a certificate.
    #[error("a certificate is not a key; give its public key (openssl x509 -pubkey -noout)")]
    Certificate,
    /// The secret is too short.
    #[error("the secret has {0} bytes; give at least {MIN_SECRET_BYTES}")]
    ShortSecret(usize),
    /// The text is not a JWK set. The error has only the position, because the text may contain secrets.
    #[error("invalid JWK set (line {line}, column {column})")]
    Jwks {
        /// The line of the error, from 1.
        line: usize,
        /// The column of the error, from 1.
        column: usize,
    },
    /// The JWK set has no usable key.
    #[error("the JWK set has no key for RS256 or ES256; give at least one")]
    EmptyJwks,
}

impl Key {
    /// Creates a key that is not bound to an issuer.
    pub(crate) fn new(algorithm: Algorithm, id: Option<String>, verifying: DecodingKey) -> Key {
        Key { algorithm, id, issuer: None, verifying }
    }

    /// Reads a public key in PEM, or the public half of a private one.
    pub fn from_pem(pem: &[u8]) -> Result<Key, KeyError> {
        let text = std::str::from_utf8(pem).map_err(|_| KeyError::Pem)?;
        if text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(KeyError::Certificate);
        }
        let read = if text.contains("PRIVATE KEY-----") { public_half } else { public_key };
        let (algorithm, verifying) = read(pem).ok_or(KeyError::Pem)?;
        Ok(Key::new(algorithm, None, verifying))
    }

    /// Creates a key from an HS256 secret, without its trailing whitespace (such as an editor's newline).
    pub fn from_secret(secret: &[u8]) -> Result<Key, KeyError> {
        let secret = secret.trim_ascii_end();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::ShortSecret(secret.len()));
        }
        Ok(Key::new(Algorithm::HS256, None, DecodingKey::from_secret(secret)))
    }

    /// Binds the key to an issuer.
    pub fn with_issuer(mut self, issuer: Arc<str>) -> Key {
        self.issuer = Some(issuer);
        self
    }

    /// Returns `true` if the key verifies a signature (base64url) of `message`.
    pub fn verifies(&self, message: &[u8], signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.verifying, self.algorithm).unwrap_or(false)
    }
}

fn public_key(pem: &[u8]) -> Option<(Algorithm, DecodingKey)> {
    let rsa = DecodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key));
    let (algorithm, key) = rsa.or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key))).ok()?;
    // The library accepts short RSA keys and other curves here, but verifies nothing with them.
    let bytes = key.try_get_as_bytes().ok()?;
    let usable = match algorithm {
        Algorithm::RS256 => rsa::PublicKey::from_der(bytes).is_ok_and(|key| key.modulus_len() >= MIN_MODULUS_BYTES),
        _ => bytes.len() == P256_POINT_BYTES,
    };
    usable.then_some((algorithm, key))
}

fn public_half(pem: &[u8]) -> Option<(Algorithm, DecodingKey)> {
    let (algorithm, signing) = signing_key(pem)?;
    let jwk = Jwk::from_encoding_key(&signing, algorithm).ok()?;
    Some((algorithm, DecodingKey::from_jwk(&jwk).ok()?))
}

/// Reads a private key in PEM, with its algorithm. Returns `None` for anything else.
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
