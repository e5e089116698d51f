//! Checks whether an entry of a user's Secret is a key that the hub accepts. No I/O.
//!
//! The checks equal the hub's (`operator/tests/contract.rs` compares them). So a malformed key is reported in the status
//! of the resource, and not by a pod that does not start.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::SectionKind;
use serde::Deserialize;

use super::pem;

/// Minimum length of an HS256 secret, in bytes.
const MIN_SECRET_BYTES: usize = 32;

/// Minimum length of an RSA modulus, in bytes.
const MIN_MODULUS_BYTES: usize = 256;

/// Error of an entry that is not a key for the hub. Does not quote the content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyEntryError {
    /// Not a PEM of a key.
    #[error("not a PEM of an RSA or P-256 key (public, or private in PKCS#8)")]
    Pem,
    /// A certificate.
    #[error("a certificate; give its public key (openssl x509 -pubkey -noout)")]
    Certificate,
    /// An RSA key that is too short to be safe.
    #[error("an RSA key of less than 2048 bits; give a longer one")]
    ShortModulus,
    /// Not a JWK set.
    #[error("not a JWK set")]
    Jwks,
    /// A JWK set without a usable key.
    #[error("no key for RS256 or ES256; add one")]
    EmptyJwks,
    /// A secret that is too short to be safe.
    #[error("a secret of {0} bytes; give {MIN_SECRET_BYTES} or more")]
    ShortSecret(usize),
}

/// Returns whether the hub reads an entry with this name.
pub fn is_key_entry(name: &str) -> bool {
    // The hub ignores hidden files.
    !name.starts_with('.') && (name.ends_with(".pem") || name.ends_with("jwks.json") || name.ends_with(".secret"))
}

/// Checks an entry by its name and content. An entry that the hub does not read is valid.
pub fn check_entry(name: &str, content: &[u8]) -> Result<(), KeyEntryError> {
    match () {
        () if !is_key_entry(name) => Ok(()),
        () if name.ends_with(".pem") => check_pem(content),
        () if name.ends_with("jwks.json") => check_jwks(content),
        () => check_secret(content),
    }
}

/// Checks a PEM of a public or private key.
fn check_pem(content: &[u8]) -> Result<(), KeyEntryError> {
    match pem::first_section(content).ok_or(KeyEntryError::Pem)? {
        (SectionKind::Certificate, _) => Err(KeyEntryError::Certificate),
        (SectionKind::PublicKey, der) => check_public(&der),
        (SectionKind::PrivateKey, der) => match rsa::KeyPair::from_pkcs8(&der) {
            Ok(pair) => check_modulus(pair.public_key()),
            Err(_) => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der)
                .map(drop)
                .map_err(|_| KeyEntryError::Pem),
        },
        (SectionKind::RsaPrivateKey, der) => {
            check_modulus(rsa::KeyPair::from_der(&der).map_err(|_| KeyEntryError::Pem)?.public_key())
        }
        _ => Err(KeyEntryError::Pem),
    }
}

/// Checks a public key in DER.
fn check_public(der: &[u8]) -> Result<(), KeyEntryError> {
    match rsa::PublicKey::from_der(der) {
        Ok(key) => check_modulus(&key),
        Err(_) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, der).map(drop).map_err(|_| KeyEntryError::Pem),
    }
}

/// Checks the length of an RSA key.
fn check_modulus(key: &rsa::PublicKey) -> Result<(), KeyEntryError> {
    if key.modulus_len() < MIN_MODULUS_BYTES { Err(KeyEntryError::ShortModulus) } else { Ok(()) }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Jwk {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: String,
    n: String,
    e: String,
    x: String,
    y: String,
}

impl Jwk {
    /// Returns whether the hub can verify signatures with the key.
    fn is_usable(&self) -> bool {
        let verifies = self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let algorithm = |name: &str| self.alg.as_deref().is_none_or(|alg| alg == name);
        verifies
            && match self.kty.as_str() {
                "RSA" => algorithm("RS256") && self.has_modulus(),
                "EC" => algorithm("ES256") && self.crv == "P-256" && self.has_point(),
                _ => false,
            }
    }

    /// Returns whether the modulus is long enough and the exponent is valid.
    fn has_modulus(&self) -> bool {
        let modulus = decode_base64url(&self.n).unwrap_or_default();
        let length = modulus.iter().skip_while(|byte| **byte == 0).count();
        length >= MIN_MODULUS_BYTES && decode_base64url(&self.e).is_some()
    }

    /// Returns whether the coordinates are a point of the curve.
    fn has_point(&self) -> bool {
        let (Some(x), Some(y)) = (decode_base64url(&self.x), decode_base64url(&self.y)) else { return false };
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], &*x, &*y].concat()).is_ok()
    }
}

/// Decodes a text of base64url. Returns `None` if it is invalid or empty.
fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// Checks that a JWK set has a usable key.
fn check_jwks(content: &[u8]) -> Result<(), KeyEntryError> {
    let set: JwkSet = serde_json::from_slice(content).map_err(|_| KeyEntryError::Jwks)?;
    if set.keys.iter().any(Jwk::is_usable) { Ok(()) } else { Err(KeyEntryError::EmptyJwks) }
}

/// Checks the length of an HS256 secret.
fn check_secret(content: &[u8]) -> Result<(), KeyEntryError> {
    // Like the hub, ignores a trailing newline, which editors add.
    let length = content.trim_ascii_end().len();
    if length < MIN_SECRET_BYTES { Err(KeyEntryError::ShortSecret(length)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::KeyPair;
    use super::*;
    use notification_hub_crds::v1alpha1::KeyAlgorithm;

    #[test]
    fn check_accepts_generated_keys() {
        for algorithm in [KeyAlgorithm::RS256, KeyAlgorithm::ES256] {
            let pair = KeyPair::generate(algorithm).expect("a pair");
            assert_eq!(check_entry("private.pem", pair.private_pem().as_bytes()), Ok(()));
            let jwks = serde_json::json!({ "keys": [pair.jwk()] }).to_string();
            assert_eq!(check_entry("jwks.json", jwks.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn check_invalid_key_entry_returns_its_error() {
        let table: [(&str, &[u8], KeyEntryError); 7] = [
            ("a.pem", b"hello", KeyEntryError::Pem),
            ("a.pem", b"-----BEGIN PUBLIC KEY-----\naGVsbG8=\n-----END PUBLIC KEY-----\n", KeyEntryError::Pem),
            (
                "a.pem",
                b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
                KeyEntryError::Certificate,
            ),
            ("a.jwks.json", b"{", KeyEntryError::Jwks),
            ("a.jwks.json", b"{\"keys\":[]}", KeyEntryError::EmptyJwks),
            ("a.jwks.json", b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"aGVsbG8\"}]}", KeyEntryError::EmptyJwks),
            ("a.secret", b"short\n", KeyEntryError::ShortSecret(5)),
        ];
        for (name, content, error) in table {
            assert_eq!(check_entry(name, content), Err(error), "{name}");
        }
    }

    #[test]
    fn check_ignores_entries_that_are_not_keys() {
        for name in ["ca.crt", "readme", "..data", ".hidden.pem"] {
            assert!(!is_key_entry(name));
            assert_eq!(check_entry(name, b"anything"), Ok(()), "{name}");
        }
    }
}
