//! Access tokens like those of Bitwarden's identity service, independent of the hub's code. A test of an invalid token changes
//! the claims of a valid one.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::secrets;

/// A key with a token header, for signing claims.
pub struct Signer {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// Creates a signer with an algorithm and a key for it. The token type is `at+jwt`.
    pub fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        let header = Header { typ: Some("at+jwt".to_owned()), ..Header::new(algorithm) };
        Self { key, header }
    }

    /// Creates a signer with a shared secret, for HS256.
    pub fn secret(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret))
    }

    /// Returns the signer with another `typ`.
    pub fn with_type(mut self, typ: &str) -> Self {
        self.header.typ = Some(typ.to_owned());
        self
    }

    /// Returns the signer with a key id.
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.header.kid = Some(id.to_owned());
        self
    }

    /// Signs claims, and registers the signature as a secret.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let token = encode(&self.header, claims, &self.key)?;
        secrets::register(token.rsplit('.').next().unwrap_or(&token));
        Ok(token)
    }
}

impl Signer {
    /// Signs claims with a header in which `changes` replace or add members.
    pub fn sign_with_header(&self, changes: &Value, claims: &Value) -> Result<String> {
        let mut header = serde_json::to_value(&self.header)?;
        for (name, value) in changes.as_object().into_iter().flatten() {
            header[name] = value.clone();
        }
        let encode = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.header.alg)?;
        secrets::register(&signature);
        Ok(format!("{message}.{signature}"))
    }
}

/// Returns the claims of a user's token that is valid for an hour.
pub fn user(user: &str, organizations: &[String], device_type: &str, device: &str) -> Value {
    let now = now();
    json!({
        "nbf": now, "iat": now, "exp": now + 3600, "iss": "http://localhost", "client_id": "web",
        "scope": ["api", "offline_access"], "amr": ["Application"],
        "sub": user, "device": device, "devicetype": device_type, "orguser": organizations,
    })
}

/// Returns the claims of a token for `/send`, like those of Bitwarden's own services.
pub fn internal() -> Value {
    let now = now();
    json!({
        "nbf": now, "iat": now, "exp": now + 3600, "iss": "http://localhost", "client_id": "internal.tests",
        "scope": ["internal"],
    })
}

/// Returns the current time in Unix seconds.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
