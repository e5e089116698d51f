//! Makes tokens as Bitwarden's identity service makes them (`bitwarden.md` 2.1): for `dev`, `token`, tests and load.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

use super::keys::key;

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key file could not be read.
    #[error("{0}: {1}")]
    Unreadable(String, std::io::Error),
    /// The key file holds no signing key.
    #[error("{0}: it is neither a private key in PEM (RSA or P-256, PKCS#8) nor a .secret of at least 32 bytes")]
    NotASigningKey(String),
    /// No key could be made.
    #[error("no key could be made")]
    NoKey,
    /// Signing failed.
    #[error("signing failed: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// A new private key for ES256, as PEM.
///
/// # Errors
/// If there is no randomness.
pub fn new_key() -> Result<String, IssueError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| IssueError::NoKey)?;
    let der = pair.to_pkcs8v1().map_err(|_| IssueError::NoKey)?;
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    // Base64 is ASCII: it can be cut anywhere.
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct TokenSpec {
    /// The user; none makes an internal token, for `/send`.
    pub user: Option<Uuid>,
    /// The organisations of which the user is a member.
    pub organizations: Vec<Uuid>,
    /// The device's type, by name (`ChromeBrowser`).
    pub device_type: Option<String>,
    /// The device's id, which a push's `ContextId` names.
    pub device: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// The lifetime, from now.
    pub expires_in: Duration,
    /// `kid` in the header.
    pub key_id: Option<String>,
}

impl TokenSpec {
    /// A token of a user, valid for an hour.
    pub fn user(user: Uuid) -> TokenSpec {
        TokenSpec { user: Some(user), ..TokenSpec::internal() }
    }

    /// A token of a sender, valid for an hour.
    pub fn internal() -> TokenSpec {
        TokenSpec {
            user: None,
            organizations: Vec::new(),
            device_type: None,
            device: None,
            issuer: None,
            expires_in: Duration::from_secs(3600),
            key_id: None,
        }
    }
}

/// A signing key that makes tokens.
pub struct TokenIssuer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl TokenIssuer {
    /// Reads a private key (`*.pem`) or a secret (`*.secret`).
    pub fn from_file(path: &Path) -> Result<TokenIssuer, IssueError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| IssueError::Unreadable(name.clone(), error))?;
        if path.extension().is_some_and(|extension| extension == "secret") {
            return TokenIssuer::from_secret(&bytes).ok_or(IssueError::NotASigningKey(name));
        }
        let (algorithm, key) = key::signing_key(&bytes).ok_or(IssueError::NotASigningKey(name))?;
        Ok(TokenIssuer { algorithm, key })
    }

    /// Takes an HS256 secret; none if it is too short.
    pub fn from_secret(secret: &[u8]) -> Option<TokenIssuer> {
        let secret = secret.trim_ascii_end();
        let key = EncodingKey::from_secret(secret);
        (secret.len() >= key::MIN_SECRET_BYTES).then_some(TokenIssuer { algorithm: Algorithm::HS256, key })
    }

    /// Makes a token.
    pub fn issue(&self, request: &TokenSpec) -> Result<String, IssueError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({ "nbf": now, "iat": now, "exp": now.saturating_add(request.expires_in.as_secs()) });
        let mut claim = |name: &str, value: serde_json::Value| claims[name] = value;
        if let Some(issuer) = &request.issuer {
            claim("iss", json!(issuer));
        }
        if let Some(user) = request.user {
            claim("sub", json!(user.to_string()));
            claim("client_id", json!("web"));
            claim("scope", json!(["api", "offline_access"]));
            claim("amr", json!(["Application"]));
        } else {
            claim("client_id", json!("internal.Api"));
            claim("client_sub", json!("Api"));
            claim("scope", json!(["internal"]));
        }
        if let [organization] = request.organizations.as_slice() {
            claim("orguser", json!(organization.to_string()));
        } else if !request.organizations.is_empty() {
            claim("orguser", request.organizations.iter().map(Uuid::to_string).collect());
        }
        if let Some(device) = &request.device {
            claim("device", json!(device));
        }
        if let Some(device_type) = &request.device_type {
            claim("devicetype", json!(device_type));
        }
        let header = Header { typ: Some("at+jwt".into()), kid: request.key_id.clone(), ..Header::new(self.algorithm) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}
