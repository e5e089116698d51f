//! Parses a JWK set (RFC 7517): its keys for RS256 and ES256, and the reasons why the others are skipped. No I/O.

use std::fmt;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse,
    RSAKeyParameters,
};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use super::key::{Key, KeyError, MIN_MODULUS_BYTES};

/// A parsed JWK set with at least one usable key.
pub struct JwkSet {
    /// The usable keys, in the order of the set.
    pub keys: Vec<Key>,
    /// The entries that are not used.
    pub skipped: Vec<SkippedJwk>,
}

/// An entry of a JWK set that is not used. Contains no part of the key but its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedJwk {
    /// The position in the set, from 1.
    pub position: usize,
    /// The `kid`, if there is one.
    pub id: Option<String>,
    /// The reason why it is not used.
    pub reason: &'static str,
}

impl fmt::Display for SkippedJwk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            Some(id) => write!(formatter, "kid {id:?}: {}", self.reason),
            None => write!(formatter, "key {}: {}", self.position, self.reason),
        }
    }
}

impl JwkSet {
    /// Parses a JWK set. Skips entries that cannot be used.
    ///
    /// # Errors
    /// Returns an error if the text is not a JWK set, or has no usable key. The error quotes nothing of the text.
    pub fn parse(json: &[u8]) -> Result<JwkSet, KeyError> {
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json)
            .map_err(|error| KeyError::Jwks { line: error.line(), column: error.column() })?;
        let mut parsed = JwkSet { keys: Vec::new(), skipped: Vec::new() };
        for (index, entry) in set.keys.into_iter().enumerate() {
            let id = entry["kid"].as_str().map(str::to_owned);
            match parse_key(entry) {
                Ok((algorithm, verifying)) => parsed.keys.push(Key::new(algorithm, id, verifying)),
                Err(reason) => parsed.skipped.push(SkippedJwk { position: index + 1, id, reason }),
            }
        }
        if parsed.keys.is_empty() { Err(KeyError::EmptyJwks) } else { Ok(parsed) }
    }
}

/// Parses one entry. The error is the reason why it is not used.
fn parse_key(entry: Value) -> Result<(Algorithm, DecodingKey), &'static str> {
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| "it is not a valid JWK")?;
    let common = &jwk.common;
    if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return Err("its use is not sig");
    }
    if common.key_operations.as_ref().is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
        return Err("its key_ops do not include verify");
    }
    match (&jwk.algorithm, common.key_algorithm) {
        (AlgorithmParameters::RSA(parameters), None | Some(KeyAlgorithm::RS256)) => rsa_key(parameters),
        (AlgorithmParameters::EllipticCurve(parameters), None | Some(KeyAlgorithm::ES256)) => p256_key(parameters),
        _ => Err("its algorithm is neither RS256 nor ES256"),
    }
}

fn rsa_key(parameters: &RSAKeyParameters) -> Result<(Algorithm, DecodingKey), &'static str> {
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(&parameters.n).unwrap_or_default();
    let length = modulus.iter().skip_while(|byte| **byte == 0).count();
    let key = DecodingKey::from_rsa_components(&parameters.n, &parameters.e).ok();
    let key = key.filter(|_| length >= MIN_MODULUS_BYTES).ok_or("it is not an RSA key of at least 2048 bits")?;
    Ok((Algorithm::RS256, key))
}

fn p256_key(parameters: &EllipticCurveKeyParameters) -> Result<(Algorithm, DecodingKey), &'static str> {
    if parameters.curve != EllipticCurve::P256 {
        return Err("its curve is not P-256");
    }
    let key = DecodingKey::from_ec_components(&parameters.x, &parameters.y).ok();
    let is_on_curve = |key: &DecodingKey| {
        key.try_get_as_bytes().is_ok_and(|point| ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).is_ok())
    };
    Ok((Algorithm::ES256, key.filter(is_on_curve).ok_or("its point is not on P-256")?))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    use super::*;

    /// Returns a new P-256 public key as a JWK, with some members replaced.
    fn p256(changes: Value) -> Value {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a pair");
        let point = pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk =
            json!({ "kty": "EC", "crv": "P-256", "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]) });
        for (name, value) in changes.as_object().expect("an object") {
            jwk[name] = value.clone();
        }
        jwk
    }

    fn parse(keys: Value) -> JwkSet {
        JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).expect("a usable key")
    }

    #[test]
    fn jwk_set_skips_unusable_keys_with_reason() {
        let rsa = |n: usize| json!({ "kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode(vec![0x81; n]), "e": "AQAB" });
        let table = [
            (p256(json!({ "use": "enc" })), "its use is not sig"),
            (p256(json!({ "use": "tls" })), "its use is not sig"),
            (p256(json!({ "key_ops": ["encrypt"] })), "its key_ops do not include verify"),
            (p256(json!({ "key_ops": [] })), "its key_ops do not include verify"),
            (p256(json!({ "use": "sig", "key_ops": ["sign"] })), "its key_ops do not include verify"),
            (p256(json!({ "alg": "ES256", "crv": "P-384" })), "its curve is not P-256"),
            (p256(json!({ "alg": "ES384" })), "its algorithm is neither RS256 nor ES256"),
            (p256(json!({ "y": BASE64_URL_SAFE_NO_PAD.encode([7; 32]) })), "its point is not on P-256"),
            (rsa(128), "it is not an RSA key of at least 2048 bits"),
            (json!({ "kty": "oct", "k": "c2VjcmV0" }), "its algorithm is neither RS256 nor ES256"),
            (json!("text"), "it is not a valid JWK"),
        ];
        let mut keys: Vec<Value> = table.iter().map(|(key, _)| key.clone()).collect();
        keys.push(p256(json!({ "kid": "good", "use": "sig", "key_ops": ["verify"], "alg": "ES256" })));
        keys.push(rsa(256));
        let set = parse(keys.into());
        assert_eq!(set.keys.iter().map(|key| key.id.as_deref()).collect::<Vec<_>>(), [Some("good"), None]);
        let reasons: Vec<&str> = set.skipped.iter().map(|key| key.reason).collect();
        assert_eq!(reasons, table.map(|(_, reason)| reason));
    }

    #[test]
    fn jwk_set_skipped_key_reports_kid_or_position() {
        let set = parse(json!([p256(json!({})), p256(json!({ "use": "enc", "kid": "a" })), 7]));
        let messages: Vec<String> = set.skipped.iter().map(ToString::to_string).collect();
        assert_eq!(messages, ["kid \"a\": its use is not sig", "key 3: it is not a valid JWK"]);
    }

    #[test]
    fn jwk_set_malformed_error_has_position_without_content() {
        for text in [r#"{"keys":"TOP-SECRET"}"#, r#""TOP-SECRET""#, r#"{"TOP-SECRET":1}"#, r#"{"keys":[TOP-SECRET"#] {
            let error = JwkSet::parse(text.as_bytes()).err().expect("no JWK set");
            assert!(matches!(error, KeyError::Jwks { line: 1, .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("SECRET"), "{error}");
        }
        assert_eq!(JwkSet::parse(b"{\"keys\":[]}").err(), Some(KeyError::EmptyJwks));
    }
}
