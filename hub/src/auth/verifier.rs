//! Verifies tokens against the keys that are loaded now, and remembers those that were good.

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

/// How many verified tokens are remembered.
pub const CACHE: usize = 1024;

/// Where keys come from; each replaces its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    /// Files.
    Files = 0,
    /// An identity server.
    Authority = 1,
}

/// The keys of each origin.
type Keys = [Arc<[Key]>; 2];

/// Verifies tokens; shared by everything that asks for one.
pub struct Verifier {
    rules: ValidationRules,
    keys: RwLock<Arc<Keys>>,
    digester: Digester,
    cache: Mutex<ClaimsCache>,
}

/// The header of a token. Members that are registered (RFC 7515 4.1) have to be texts, also those that are not used.
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
    #[serde(rename = "crit", default, deserialize_with = "refuse_extensions")]
    _crit: (),
}

/// Refuses extensions that have to be understood (RFC 7515 4.1.11): none is.
fn refuse_extensions<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(D::Error::custom("an extension"))
}

impl Verifier {
    /// A verifier with these rules and keys from files.
    pub fn new(rules: ValidationRules, keys: Vec<Key>) -> Verifier {
        let keys: Keys = [keys.into(), Arc::default()];
        let cache = Mutex::new(ClaimsCache::new(CACHE));
        Verifier { rules, keys: RwLock::new(keys.into()), digester: Digester::new(), cache }
    }

    /// Takes another set of keys and forgets what was verified with the old one. Open connections stay.
    pub fn replace_keys(&self, origin: KeySource, keys: Vec<Key>) {
        let mut current = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut replaced = Keys::clone(&current);
        replaced[origin as usize] = keys.into();
        *current = replaced.into();
        drop(current);
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether the key that a token names is known: then newer keys would not help it.
    pub fn has_key_for(&self, token: &BearerToken) -> bool {
        let header = token.reveal().split('.').next().unwrap_or_default();
        let header = decode(header).ok().and_then(|header| serde_json::from_slice::<TokenHeader>(&header).ok());
        // What is no token needs no key.
        let Some(header) = header else { return true };
        header.kid.is_some() && self.keys().iter().flat_map(|keys| keys.iter()).any(|key| key.id == header.kid)
    }

    fn keys(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is remembered of a token that was verified before: cheap enough for a reactor.
    pub fn cached(&self, token: &BearerToken, policy: Policy) -> Option<Result<Arc<Claims>, Rejection>> {
        let known = self.cached_by_digest(&self.digester.digest(token)?, policy)?;
        Some(known.inspect_err(|rejection| log_rejection(token, *rejection)))
    }

    fn cached_by_digest(&self, digest: &Digest, policy: Policy) -> Option<Result<Arc<Claims>, Rejection>> {
        let claims = self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(digest)?;
        if now() > claims.valid_until {
            return Some(Err(Rejection::Expired));
        }
        Some(claims.authorize(policy).map(|()| claims))
    }

    /// Verifies a token, or recalls that it was good. A signature costs tens of microseconds.
    pub fn verify(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        self.recall_or_check(token, policy).inspect_err(|rejection| log_rejection(token, *rejection))
    }

    fn recall_or_check(&self, token: &BearerToken, policy: Policy) -> Result<Arc<Claims>, Rejection> {
        let digest = self.digester.digest(token);
        if let Some(known) = digest.and_then(|digest| self.cached_by_digest(&digest, policy)) {
            return known;
        }
        let keys = self.keys();
        let claims = Arc::new(check(token.reveal(), &keys, &self.rules, now())?);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys may have been replaced meanwhile: what an old key verified is not remembered.
        if let Some(digest) = digest.filter(|_| Arc::ptr_eq(&keys, &self.keys())) {
            cache.insert(digest, claims.clone());
        }
        drop(cache);
        claims.authorize(policy).map(|()| claims)
    }
}

/// Checks a token against keys and rules. No I/O; `now` in Unix seconds.
fn check(token: &str, keys: &Keys, rules: &ValidationRules, now: f64) -> Result<Claims, Rejection> {
    let keys = || keys.iter().flat_map(|keys| keys.iter());
    if keys().next().is_none() {
        return Err(Rejection::Unavailable);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Rejection::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(Rejection::Malformed)?;
    let header: TokenHeader = serde_json::from_slice(&decode(header)?).map_err(|_| Rejection::Malformed)?;
    let payload = decode(payload)?;

    let algorithm: Algorithm = header.alg.parse().map_err(|_| Rejection::Signature)?;
    // The key that the token names goes first; an unknown or absent id tries them all (`decisions.md` 3).
    let named = |key: &&Key| header.kid.is_some() && key.id == header.kid;
    let mut fitting = keys().filter(|key| key.algorithm == algorithm).peekable();
    if fitting.peek().is_none() {
        return Err(Rejection::UnknownKey);
    }
    let (first, rest): (Vec<&Key>, Vec<&Key>) = fitting.partition(named);
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
