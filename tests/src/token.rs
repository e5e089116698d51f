//! Access tokens as Bitwarden's identity makes them, written without the hub's own code, and with every claim open to change:
//! the tests of bad tokens start from a good one.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::secrets;

/// Signs claims with one key.
pub struct Signer {
    key: EncodingKey,
    header: Header,
}

impl Signer {
    /// A signer with an algorithm and the key for it; the type is `at+jwt`.
    pub fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        let header = Header { typ: Some("at+jwt".to_owned()), ..Header::new(algorithm) };
        Self { key, header }
    }

    /// A signer with a shared secret.
    pub fn secret(secret: &[u8]) -> Self {
        Self::new(Algorithm::HS256, EncodingKey::from_secret(secret))
    }

    /// The same signer with another `typ`.
    pub fn with_type(mut self, typ: &str) -> Self {
        self.header.typ = Some(typ.to_owned());
        self
    }

    /// The same signer with a key id.
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.header.kid = Some(id.to_owned());
        self
    }

    /// The token of these claims. It is a secret from then on.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        let token = encode(&self.header, claims, &self.key)?;
        secrets::keep(token.rsplit('.').next().unwrap_or(&token));
        Ok(token)
    }
}

impl Signer {
    /// The token of these claims, with these members over those of the header.
    pub fn sign_with_header(&self, changes: &Value, claims: &Value) -> Result<String> {
        let mut header = serde_json::to_value(&self.header)?;
        for (name, value) in changes.as_object().into_iter().flatten() {
            header[name] = value.clone();
        }
        let encode = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, self.header.alg)?;
        secrets::keep(&signature);
        Ok(format!("{message}.{signature}"))
    }
}

/// The claims of a user's token that holds for an hour.
pub fn user(user: &str, organizations: &[String], device_type: &str, device: &str) -> Value {
    let now = now();
    json!({
        "nbf": now, "iat": now, "exp": now + 3600, "iss": "http://localhost", "client_id": "web",
        "scope": ["api", "offline_access"], "amr": ["Application"],
        "sub": user, "device": device, "devicetype": device_type, "orguser": organizations,
    })
}

/// The claims of the token with which Bitwarden's own services post to `/send`.
pub fn internal() -> Value {
    let now = now();
    json!({
        "nbf": now, "iat": now, "exp": now + 3600, "iss": "http://localhost", "client_id": "internal.tests",
        "scope": ["internal"],
    })
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
