//! Signing keys for tests, generated in each run.

use anyhow::{Result, anyhow};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use uuid::Uuid;

use crate::secrets;
use crate::token::Signer;

/// A key pair in every format that a hub reads.
pub struct SigningKey {
    algorithm: Algorithm,
    /// The private key as PEM (PKCS#8).
    pub private_pem: String,
    /// The public key as PEM.
    pub public_pem: String,
    /// A JWK set with the public key.
    pub jwks: String,
    /// The key id in that set.
    pub id: String,
}

impl SigningKey {
    /// Generates an RSA key of 2,048 bits, for RS256.
    pub fn rs256() -> Result<Self> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
        let private: Pkcs8V1Der = pair.as_der()?;
        let public: PublicKeyX509Der = pair.public_key().as_der()?;
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let n = encode(n.big_endian_without_leading_zero());
        let e = encode(e.big_endian_without_leading_zero());
        let id = Uuid::new_v4().to_string();
        let jwks = json!({ "keys": [{ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": id, "n": n, "e": e }] });
        Ok(Self {
            id,
            algorithm: Algorithm::RS256,
            private_pem: pem("PRIVATE KEY", private.as_ref()),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            jwks: jwks.to_string(),
        })
    }

    /// Generates a P-256 key, for ES256.
    pub fn es256() -> Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)?;
        let private = pair.to_pkcs8v1()?;
        let public: PublicKeyX509Der = pair.public_key().as_der()?;
        let [_, point @ ..] = pair.public_key().as_ref() else { return Err(anyhow!("an empty public key")) };
        let (x, y) = point.split_at(point.len() / 2);
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let id = Uuid::new_v4().to_string();
        let jwks = json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": id, "x": encode(x), "y": encode(y) }] });
        Ok(Self {
            id,
            algorithm: Algorithm::ES256,
            private_pem: pem("PRIVATE KEY", private.as_ref()),
            public_pem: pem("PUBLIC KEY", public.as_ref()),
            jwks: jwks.to_string(),
        })
    }

    /// Returns a signer with this key.
    pub fn signer(&self) -> Result<Signer> {
        let key = match self.algorithm {
            Algorithm::RS256 => EncodingKey::from_rsa_pem(self.private_pem.as_bytes())?,
            _ => EncodingKey::from_ec_pem(self.private_pem.as_bytes())?,
        };
        Ok(Signer::new(self.algorithm, key).with_key_id(&self.id))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    if label.starts_with("PRIVATE") {
        lines.iter().for_each(|line| secrets::register(line));
    }
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
