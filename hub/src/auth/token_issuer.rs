//! Issues tokens like those of Bitwarden's identity service (`bitwarden.md` 2.1), for the commands `dev` and `token`, for tests
//! and for benchmarks.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use uuid::Uuid;

use super::keys::key;

/// An error of issuing a token.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The key file cannot be read.
    #[error("{0}: {1}")]
    Unreadable(String, std::io::Error),
    /// The key file has no signing key.
    #[error(
        "{0}: no signing key; give a private key in PEM (RSA or P-256, PKCS#8) or a .secret file of at least 32 bytes"
    )]
    NotASigningKey(String),
    /// The system's random source failed.
    #[error("cannot generate a signing key")]
    KeyGeneration,
    /// Signing failed.
    #[error("cannot sign the token: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Generates a private key for ES256. Returns it in PEM (PKCS#8).
///
/// # Errors
/// Returns [`IssueError::KeyGeneration`] if the system's random source fails.
pub fn generate_key() -> Result<String, IssueError> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| IssueError::KeyGeneration)?;
    let der = pair.to_pkcs8v1().map_err(|_| IssueError::KeyGeneration)?;
    let text = BASE64_STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    // Base64 is ASCII, so every split is at a character boundary.
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    Ok(pem)
}

/// The content of a token to issue.
#[derive(Debug, Clone)]
pub struct TokenSpec {
    /// The user. `None`: an internal token, for `/send`.
    pub user: Option<Uuid>,
    /// The organizations that the user is a member of.
    pub organizations: Vec<Uuid>,
    /// The name of the device's type, such as `ChromeBrowser`.
    pub device_type: Option<String>,
    /// The id of the device. The `ContextId` of a push names one.
    pub device: Option<String>,
    /// The claim `iss`.
    pub issuer: Option<String>,
    /// The lifetime, from the time of issue.
    pub expires_in: Duration,
    /// The `kid` in the header.
    pub key_id: Option<String>,
}

impl TokenSpec {
    /// Describes a token of a user, valid for one hour.
    pub fn user(user: Uuid) -> TokenSpec {
        TokenSpec { user: Some(user), ..TokenSpec::internal() }
    }

    /// Describes a token of a sender, valid for one hour.
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

/// Issues tokens that it signs with its key.
pub struct TokenIssuer {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl TokenIssuer {
    /// Creates an issuer with the secret in a `.secret` file, or with the private key in PEM in any other file.
    pub fn from_file(path: &Path) -> Result<TokenIssuer, IssueError> {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|error| IssueError::Unreadable(name.clone(), error))?;
        if path.extension().is_some_and(|extension| extension == "secret") {
            return TokenIssuer::from_secret(&bytes).ok_or(IssueError::NotASigningKey(name));
        }
        let (algorithm, key) = key::signing_key(&bytes).ok_or(IssueError::NotASigningKey(name))?;
        Ok(TokenIssuer { algorithm, key })
    }

    /// Creates an issuer with an HS256 secret, without its trailing whitespace. Returns `None` if the secret is too short.
    pub fn from_secret(secret: &[u8]) -> Option<TokenIssuer> {
        let secret = secret.trim_ascii_end();
        let key = EncodingKey::from_secret(secret);
        (secret.len() >= key::MIN_SECRET_BYTES).then_some(TokenIssuer { algorithm: Algorithm::HS256, key })
    }

    /// Issues a token.
    pub fn issue(&self, spec: &TokenSpec) -> Result<String, IssueError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({ "nbf": now, "iat": now, "exp": now.saturating_add(spec.expires_in.as_secs()) });
        let mut claim = |name: &str, value: serde_json::Value| claims[name] = value;
        if let Some(issuer) = &spec.issuer {
            claim("iss", json!(issuer));
        }
        if let Some(user) = spec.user {
            claim("sub", json!(user.to_string()));
            claim("client_id", json!("web"));
            claim("scope", json!(["api", "offline_access"]));
            claim("amr", json!(["Application"]));
        } else {
            claim("client_id", json!("internal.Api"));
            claim("client_sub", json!("Api"));
            claim("scope", json!(["internal"]));
        }
        if let [organization] = spec.organizations.as_slice() {
            claim("orguser", json!(organization.to_string()));
        } else if !spec.organizations.is_empty() {
            claim("orguser", spec.organizations.iter().map(Uuid::to_string).collect());
        }
        if let Some(device) = &spec.device {
            claim("device", json!(device));
        }
        if let Some(device_type) = &spec.device_type {
            claim("devicetype", json!(device_type));
        }
        let header = Header { typ: Some("at+jwt".into()), kid: spec.key_id.clone(), ..Header::new(self.algorithm) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }
}
