//! Keys that sign tokens: making a pair, its public half as a JWK set, and judging what others bring. No I/O; random
//! numbers come from the cryptography library.

mod connection_token;
mod entry;
mod pem;

pub use connection_token::{CONNECTION_TOKEN_ENTRY, ConnectionTokenKey};
pub use entry::{EntryProblem, check, is_key_entry};
pub use pem::check_certificates;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use notification_hub_crds::v1alpha1::KeyAlgorithm;
use serde_json::{Value, json};

/// Entry of the Secret `<name>-jwt`: the private key, PKCS#8.
pub const PRIVATE_ENTRY: &str = "private.pem";

/// Entry of the Secret `<name>-jwt`: every public key that is valid.
pub const JWKS_ENTRY: &str = "jwks.json";

/// A private key and its public half, each in the form in which it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    private_pem: String,
    jwks: String,
}

/// The cryptography library could not make a key.
#[derive(Debug, thiserror::Error)]
#[error("no key could be made")]
pub struct NoKey;

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyPair").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Makes a new pair. Takes up to a second: not for an async task.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<KeyPair, NoKey> {
        let der = match algorithm {
            KeyAlgorithm::RS256 => {
                let pair = rsa::KeyPair::generate(KeySize::Rsa2048).map_err(|_| NoKey)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| NoKey)?;
                der.as_ref().to_vec()
            }
            KeyAlgorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| NoKey)?;
                pair.to_pkcs8v1().map_err(|_| NoKey)?.as_ref().to_vec()
            }
        };
        KeyPair::read(&pem::private_key(&der), algorithm).ok_or(NoKey)
    }

    /// Takes a private key as it was stored; none if it is not a PKCS#8 key of this algorithm.
    pub fn read(private_pem: &str, algorithm: KeyAlgorithm) -> Option<KeyPair> {
        let der = pem::pkcs8(private_pem.as_bytes())?;
        let mut jwk = match algorithm {
            KeyAlgorithm::RS256 => rsa_jwk(&der)?,
            KeyAlgorithm::ES256 => ec_jwk(&der)?,
        };
        // RFC 7638: the digest of the required members in alphabetical order, which is how they are written below.
        let thumbprint = digest(&SHA256, jwk.to_string().as_bytes());
        jwk["kid"] = Value::from(URL_SAFE_NO_PAD.encode(thumbprint));
        jwk["use"] = Value::from("sig");
        jwk["alg"] = Value::from(match algorithm {
            KeyAlgorithm::RS256 => "RS256",
            KeyAlgorithm::ES256 => "ES256",
        });
        Some(KeyPair { private_pem: private_pem.to_owned(), jwks: json!({ "keys": [jwk] }).to_string() })
    }

    /// The private key, PKCS#8 in PEM.
    pub fn private_pem(&self) -> &str {
        &self.private_pem
    }

    /// The JWK set of the public key.
    pub fn jwks(&self) -> &str {
        &self.jwks
    }
}

fn rsa_jwk(der: &[u8]) -> Option<Value> {
    let pair = rsa::KeyPair::from_pkcs8(der).ok()?;
    let public = pair.public_key();
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let n = text(public.modulus().big_endian_without_leading_zero());
    let e = text(public.exponent().big_endian_without_leading_zero());
    Some(json!({ "e": e, "kty": "RSA", "n": n }))
}

fn ec_jwk(der: &[u8]) -> Option<Value> {
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
    // Uncompressed: a four, then both coordinates of 32 bytes.
    let point = pair.public_key().as_ref();
    let (x, y) = point.get(1..)?.split_at_checked(32)?;
    Some(json!({ "crv": "P-256", "kty": "EC", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_read_back_as_it_was_made() {
        for algorithm in [KeyAlgorithm::RS256, KeyAlgorithm::ES256] {
            let made = KeyPair::generate(algorithm).expect("a pair");
            assert!(made.private_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
            assert_eq!(KeyPair::read(made.private_pem(), algorithm).as_ref(), Some(&made));
            assert!(!made.jwks().contains("\"d\""), "a private member in the public set");
            assert!(!format!("{made:?}").contains("PRIVATE"), "a private key in debug output");
        }
    }

    #[test]
    fn two_pairs_differ() {
        let kid = || {
            let jwks: Value =
                serde_json::from_str(KeyPair::generate(KeyAlgorithm::ES256).expect("a pair").jwks()).expect("JSON");
            jwks["keys"][0]["kid"].as_str().expect("a kid").to_owned()
        };
        assert_ne!(kid(), kid());
    }

    #[test]
    fn a_key_of_the_other_algorithm_is_no_key() {
        let pair = KeyPair::generate(KeyAlgorithm::ES256).expect("a pair");
        assert!(KeyPair::read(pair.private_pem(), KeyAlgorithm::RS256).is_none());
        assert!(KeyPair::read("hello", KeyAlgorithm::ES256).is_none());
    }
}
