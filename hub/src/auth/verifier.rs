//! Verifies tokens with the loaded keys, and caches the claims of valid tokens.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::bearer::BearerToken;
use super::claims::ValidationRules;
use super::claims_cache::ClaimsCache;
use super::digest::{Digest, Digester};
use super::keys::key::Key;
use super::rejection_log::log_rejection;
use super::{Claims, Policy, Rejection};

/// The most verified tokens that are cached.
pub const CLAIMS_CACHE_CAPACITY: usize = 1024;

/// The source of keys. Each source replaces its own keys only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Key files.
    Files = 0,
    /// The identity server.
    Authority = 1,
}

/// The keys of each [`KeySource`].
type KeySets = [Arc<[Key]>; 2];

/// Verifies tokens. Shared by the reactors, the verification thread and axum.
pub struct Verifier {
    rules: ValidationRules,
    keys: RwLock<Arc<KeySets>>,
    digester: Digester,
    cache: Mutex<ClaimsCache>,
}

/// The header of a token. Registered parameters (RFC 7515 4.1) must be strings, even those that are not used.
#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
    #[serde(rename = "cty")]
    _cty: Option<String>,
    #[serde(rename = "zip")]
    _zip: Option<String>,
    #[serde(rename = "x5t")]
    _x5t: Option<String>,
    #[serde(rename = "crit", default, deserialize_with = "reject_critical_extensions")]
    _crit: (),
}

/// Rejects critical extensions (RFC 7515 4.1.11), because none is supported.
fn reject_critical_extensions<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("critical extension"))
}

impl Verifier {
    /// Creates a verifier with validation rules and the keys of files.
    pub fn new(rules: ValidationRules, keys: Vec<Key>) -> Verifier {
        let keys: KeySets = [keys.into(), Arc::default()];
        let cache = Mutex::new(ClaimsCache::new(CLAIMS_CACHE_CAPACITY));
        Verifier { rules, keys: RwLock::new(keys.into()), digester: Digester::new(), cache }
    }

    /// Replaces the keys of a source and clears the cache. Open connections stay.
    pub fn replace_keys(&self, source: KeySource, keys: Vec<Key>) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut replaced = KeySets::clone(&current);
        replaced[source as usize] = keys.into();
        *current = replaced.into();
        drop(current);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns `true` if the key that a token names is loaded, or if the token is malformed: newer keys do not help then.
    pub fn has_key_for(&self, token: &BearerToken) -> bool {
        let header = token.reveal().split('.').next().unwrap_or_default();
        let header = decode(header).ok().and_then(|header| serde_json::from_slice::<TokenHeader>(&header).ok());
        // No key verifies a malformed token.
        let Some(header) = header else { return true };
        header.kid.is_some() && self.keys().iter().flat_map(|keys| keys.iter()).any(|key| key.id == header.kid)
    }

    fn keys(&self) -> Arc<KeySets> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the cached result for a token, or `None` if the token is not cached. Fast enough for a reactor's thread.
    pub fn cached(&self, token: &BearerToken, policy: Policy) -> Option<Result<Arc<Claims>, Rejection>> {
        let cached = self.cached_by_digest(&self.digester.digest(token)?, policy)?;
        Some(cached.inspect_err(|rejection| log_rejection(token, *rejection)))
    }

    fn cached_by_digest(&self, digest: &Digest, policy: Policy) -> Option<Result<Arc<Claims>, Rejection>> {
        let claims = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(digest)?;
        if now() > claims.valid_until {
            return Some(Err(Rejection::Expired));
        }
        Some(claims.authorize(policy).map(|()| claims))
    }

    /// Verifies a token, or returns its cached result. A signature check takes tens of microseconds.
    ///
    /// # Errors
    /// Returns why the token is rejected.
    pub fn verify(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        self.cached_or_verified(token, policy).inspect_err(|rejection| log_rejection(token, *rejection))
    }

    fn cached_or_verified(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        let digest = self.digester.digest(token);
        if let Some(cached) = digest.and_then(|digest| self.cached_by_digest(&digest, policy)) {
            return cached;
        }
        let keys = self.keys();
        let claims = Arc::new(verify_token(token.reveal(), &keys, &self.rules, now())?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // The keys may have been replaced in the meantime. The result of an old key is not cached.
        if let Some(digest) = digest.filter(|_| Arc::ptr_eq(&keys, &self.keys())) {
            cache.insert(digest, claims.clone());
        }
        drop(cache);
        claims.authorize(policy).map(|()| claims)
    }
}

/// Verifies the signature of a token, its type and its claims. `now` is in Unix seconds.
fn verify_token(token: &str, keys: &KeySets, rules: &ValidationRules, now: f64) -> Result<Claims, Rejection> {
    let keys = || keys.iter().flat_map(|keys| keys.iter());
    if keys().next().is_none() {
        return Err(Rejection::Unavailable);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Rejection::Malformed)?;
    let header: TokenHeader = serde_json::from_slice(&decode(header)?).map_err(|_| Rejection::Malformed)?;
    let payload = decode(payload)?;

    let algorithm: Algorithm = header.alg.parse().map_err(|_| Rejection::Signature)?;
    // The key that the token names is tried first. With an unknown id or none, all keys are tried (`decisions.md` 3).
    let named = |key: &&Key| header.kid.is_some() && key.id == header.kid;
    let mut candidates = keys().filter(|key| key.algorithm == algorithm).peekable();
    if candidates.peek().is_none() {
        return Err(Rejection::UnknownKey);
    }
    let (first, rest): (Vec<&Key>, Vec<&Key>) = candidates.partition(named);
    let signer = first.into_iter().chain(rest).find(|key| key.verifies(message.as_bytes(), signature));
    let signer = signer.ok_or(Rejection::Signature)?;
    if header.typ.as_deref() != Some("at+jwt") {
        return Err(Rejection::Type);
    }
    Claims::read(&payload, rules, signer.issuer.as_deref(), now)
}

fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::Malformed)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
