//! Keys that sign tokens: generates pairs, encodes their public halves as JWKs, plans their rotation, and checks the
//! keys of users. No I/O. Random numbers come from the cryptography library.

mod connection_token;
mod entry;
mod pem;
mod ring;
mod rotation;

pub use connection_token::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey};
pub use entry::{KeyEntryError, check_entry, is_key_entry};
pub use pem::check_certificates;
pub use ring::{JWKS_ENTRY, KeyRing, NEXT_ENTRY, PRIVATE_ENTRY, PreviousKey, RECORD_ENTRY, SigningKey};
pub use rotation::{MissingKey, PUBLICATION_LEAD_TIME, RotationPlan, RotationPolicy, plan_rotation};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use notification_hub_crds::v1alpha1::KeyAlgorithm;
use serde_json::{Value, json};

/// A private key in PEM and its public half as a JWK, as they are stored.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    private_pem: String,
    jwk: Value,
    algorithm: KeyAlgorithm,
}

/// Error of the cryptography library while it generates a key.
#[derive(Debug, thiserror::Error)]
#[error("cannot generate a key")]
pub struct KeyGenerationError;

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("jwk", &self.jwk).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Generates a new pair. Blocks for up to a second: call it from `spawn_blocking`.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<KeyPair, KeyGenerationError> {
        let der = match algorithm {
            KeyAlgorithm::RS256 => {
                let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyGenerationError)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyGenerationError)?;
                der.as_ref().to_vec()
            }
            KeyAlgorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyGenerationError)?;
                pair.to_pkcs8v1().map_err(|_| KeyGenerationError)?.as_ref().to_vec()
            }
        };
        KeyPair::from_pem(&pem::encode_private_key(&der)).ok_or(KeyGenerationError)
    }

    /// Reads a stored private key. Returns `None` unless it is a PKCS#8 key of one of the algorithms.
    pub fn from_pem(private_pem: &str) -> Option<KeyPair> {
        let der = pem::decode_private_key(private_pem.as_bytes())?;
        let (algorithm, name, mut jwk) = match rsa_jwk(&der) {
            Some(jwk) => (KeyAlgorithm::RS256, "RS256", jwk),
            None => (KeyAlgorithm::ES256, "ES256", ec_jwk(&der)?),
        };
        // RFC 7638: the key ID is the digest of the required members in alphabetical order, as in `rsa_jwk` and `ec_jwk`.
        let thumbprint = digest(&SHA256, jwk.to_string().as_bytes());
        jwk["kid"] = Value::from(URL_SAFE_NO_PAD.encode(thumbprint));
        jwk["use"] = Value::from("sig");
        jwk["alg"] = Value::from(name);
        Some(KeyPair { private_pem: private_pem.to_owned(), jwk, algorithm })
    }

    /// Returns the private key, PKCS#8 in PEM.
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// Returns the public key.
    pub fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// Returns the algorithm of its signatures.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
}

/// Returns the required members of the JWK of an RSA key, or `None` unless the key is RSA.
fn rsa_jwk(der: &[u8]) -> Option<Value> {
    let pair = rsa::KeyPair::from_pkcs8(der).ok()?;
    let public = pair.public_key();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let n = text(public.modulus().big_endian_without_leading_zero());
    let e = text(public.exponent().big_endian_without_leading_zero());
    Some(json!({ "e": e, "kty": "RSA", "n": n }))
}

/// Returns the required members of the JWK of a P-256 key, or `None` unless the key is P-256.
fn ec_jwk(der: &[u8]) -> Option<Value> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
    // An uncompressed point: the byte 4, then both coordinates of 32 bytes.
    let point = pair.public_key().as_ref();
    let (x, y) = point.get(1..)?.split_at_checked(32)?;
    Some(json!({ "crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_pair_round_trips_through_pem() {
        for algorithm in [KeyAlgorithm::RS256, KeyAlgorithm::ES256] {
            let generated = KeyPair::generate(algorithm).expect("a pair");
            assert!(generated.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
            assert_eq!(generated.algorithm(), algorithm);
            assert_eq!(KeyPair::from_pem(generated.private_pem()).as_ref(), Some(&generated));
            assert!(generated.jwk().get("d").is_none(), "a private member in the public half");
            assert!(!format!("{generated:?}").contains("PRIVATE"), "a private key in debug output");
        }
    }

    #[test]
    fn key_pair_generate_gives_distinct_keys() {
        let kid = || KeyPair::generate(KeyAlgorithm::ES256).expect("a pair").jwk()["kid"].clone();
        assert_ne!(kid(), kid());
    }

    #[test]
    fn key_pair_read_without_private_key_returns_none() {
        for text in [
            "hello",
            include_str!("../../tests/keys/p256-public.pem"),
            include_str!("../../tests/keys/certificate.pem"),
        ] {
            assert!(KeyPair::from_pem(text).is_none(), "{text}");
        }
    }
}
