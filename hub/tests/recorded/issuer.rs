//! The token issuer of the tests: a key pair, its JWK set, and tokens as `recorded.json` describes them.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Map, Value, json};

/// Returns the signing key. It is generated once, because that takes a while.
fn key() -> &'static EncodingKey {
    static KEY: OnceLock<EncodingKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("randomness");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("a key can be written");
        let body = BASE64_STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        EncodingKey::from_rsa_pem(pem.as_bytes()).expect("what was written can be read")
    })
}

/// Returns the JWK set with the public key.
pub(crate) fn key_set() -> Result<Value> {
    let mut jwk = Jwk::from_encoding_key(key(), Algorithm::RS256)?;
    jwk.common.key_id = Some("test".to_owned());
    Ok(json!({ "keys": [jwk] }))
}

/// Issues the token that a step describes.
pub(crate) fn token(wanted: &Value, kinds: &Value) -> Result<String> {
    if let Some(raw) = wanted["raw"].as_str() {
        return Ok(raw.to_owned());
    }
    let kind = wanted.as_str().or(wanted["kind"].as_str()).context("a token has a kind")?;
    let claims = merged(&[&kinds["both"], &kinds[kind], &wanted["claims"]])?;
    let header = merged(&[&kinds["header"], &wanted["header"]])?;
    let encode = |part: Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key(), Algorithm::RS256)?;
    let signature = match wanted["signature"].as_str() {
        None => signature,
        Some("empty") => String::new(),
        Some("flipped bit") => {
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(signature)?;
            bytes[100] ^= 1;
            BASE64_URL_SAFE_NO_PAD.encode(bytes)
        }
        Some(other) => bail!("an unknown signature: {other}"),
    };
    Ok(format!("{message}.{signature}"))
}

/// Merges objects. Later members replace earlier ones, and the value `(absent)` removes one.
fn merged(objects: &[&Value]) -> Result<Value> {
    let mut members = Map::new();
    for (name, value) in objects.iter().filter_map(|object| object.as_object()).flatten() {
        if value == "(absent)" {
            members.shift_remove(name);
        } else {
            members.insert(name.clone(), resolve_time(value)?);
        }
    }
    Ok(Value::Object(members))
}

/// Returns a value with a time relative to now, such as `now+60`, made absolute.
fn resolve_time(value: &Value) -> Result<Value> {
    let Some(text) = value.as_str() else { return Ok(value.clone()) };
    let (as_text, relative) = text.strip_prefix("text ").map_or((false, text), |rest| (true, rest));
    let Some(shift) = relative.strip_prefix("now") else { return Ok(value.clone()) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let shift: f64 = if shift.is_empty() { 0.0 } else { shift.parse()? };
    let time = now as f64 + shift;
    Ok(match (as_text, shift.fract() == 0.0) {
        (true, _) => json!(format!("{time:.0}")),
        (false, true) => json!(time as i64),
        (false, false) => json!(time),
    })
}
