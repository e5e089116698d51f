//! The generated keys of a hub in the format of its Secret: `dereference` decodes them, `build` encodes them. No I/O.
//!
//! `rotation.json` is the operator's record of times and previous keys. Missing or invalid entries are rebuilt from the
//! others. A key of which only the public half is left still verifies tokens.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{KeyPair, check_entry};

/// Entry of the Secret `<name>-jwt`: the private key that signs tokens, PKCS#8.
pub const PRIVATE_ENTRY: &str = "private.pem";

/// Entry of the Secret `<name>-jwt`: the private key that becomes the current one next.
pub const NEXT_ENTRY: &str = "next-private.pem";

/// Entry of the Secret `<name>-jwt`: every public key that is valid.
pub const JWKS_ENTRY: &str = "jwks.json";

/// Entry of the Secret `<name>-jwt`: when each key was made current and when it expires.
pub const RECORD_ENTRY: &str = "rotation.json";

/// Entries of a Secret.
type SecretEntries = BTreeMap<String, ByteString>;

/// Generated keys of a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    /// The key that signs tokens, or `None` if it is missing or invalid.
    pub current: Option<SigningKey>,
    /// The key that becomes the current one next, or `None` if it is not generated yet.
    pub next: Option<SigningKey>,
    /// Keys whose tokens are still accepted.
    pub previous: Vec<PreviousKey>,
}

/// A key pair that signs, or will sign, tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The pair.
    pub pair: KeyPair,
    /// For the current key, when it became current. For the next key, when its public half was published.
    pub since: Timestamp,
}

/// A public key whose private half no longer signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousKey {
    /// The key.
    pub jwk: Value,
    /// When its tokens stop to be accepted, or `None` if the time is not recorded.
    pub until: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct RotationRecord {
    /// ID of the current key. It differs from the stored key if the key was replaced by hand.
    current: Option<String>,
    last_rotation_time: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_published: Option<Time>,
    #[serde(default)]
    previous: Vec<PreviousKeyRecord>,
}

#[derive(Deserialize, Serialize)]
struct PreviousKeyRecord {
    jwk: Value,
    until: Option<Time>,
}

impl KeyRing {
    /// Reads the entries of a Secret. A key without a recorded time is as old as the Secret, which was created at
    /// `created`. A key that was replaced by hand is current since `now`.
    pub fn from_entries(entries: &SecretEntries, created: Timestamp, now: Timestamp) -> KeyRing {
        let text = |entry: &str| entries.get(entry).and_then(|ByteString(bytes)| std::str::from_utf8(bytes).ok());
        let record: Option<RotationRecord> = text(RECORD_ENTRY).and_then(|text| serde_json::from_str(text).ok());
        let recorded = record.as_ref().and_then(|record| record.current.as_deref());
        let pair = |entry| text(entry).and_then(KeyPair::from_pem);
        let time_or_created = |time: Option<&Time>| time.map_or(created, |Time(time)| *time);

        let current = pair(PRIVATE_ENTRY).map(|pair| {
            let is_recorded = recorded.is_none_or(|recorded| key_id(pair.jwk()) == Some(recorded));
            let since = time_or_created(record.as_ref().and_then(|record| record.last_rotation_time.as_ref()));
            SigningKey { since: if is_recorded { since } else { now }, pair }
        });
        let next = pair(NEXT_ENTRY).map(|pair| {
            let published = record.as_ref().and_then(|record| record.next_published.as_ref());
            SigningKey { pair, since: published.map_or(now, |Time(time)| *time) }
        });
        let mut ring = KeyRing { current, next, previous: Vec::new() };
        for PreviousKeyRecord { jwk, until } in record.iter().flat_map(|record| &record.previous) {
            ring.add_previous(jwk, until.as_ref().map(|Time(time)| *time));
        }
        // Public keys that the record lacks: all of them without a record, else the current key that was replaced by hand.
        let published: Value = text(JWKS_ENTRY).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for jwk in published["keys"].as_array().into_iter().flatten() {
            if recorded.is_none_or(|recorded| key_id(jwk) == Some(recorded)) {
                ring.add_previous(jwk, None);
            }
        }
        ring
    }

    /// Adds a valid public key, unless it is already in the ring.
    fn add_previous(&mut self, jwk: &Value, until: Option<Timestamp>) {
        let is_key =
            key_id(jwk).is_some() && check_entry(JWKS_ENTRY, jwks([jwk]).as_bytes()).is_ok() && jwk.get("d").is_none();
        if is_key && !self.public_keys().any(|known| key_id(known) == key_id(jwk)) {
            self.previous.push(PreviousKey { jwk: jwk.clone(), until });
        }
    }

    /// Returns every public key that is valid.
    fn public_keys(&self) -> impl Iterator<Item = &Value> {
        let pairs = self.current.iter().chain(&self.next).map(|signing| signing.pair.jwk());
        pairs.chain(self.previous.iter().map(|previous| &previous.jwk))
    }

    /// Returns the entries of the Secret.
    pub fn entries(&self) -> SecretEntries {
        let record = RotationRecord {
            current: self.current.as_ref().and_then(|current| key_id(current.pair.jwk())).map(str::to_owned),
            last_rotation_time: self.current.as_ref().map(|current| Time(current.since)),
            next_published: self.next.as_ref().map(|next| Time(next.since)),
            previous: self.previous.iter().map(PreviousKey::record).collect(),
        };
        let private = |signing: &SigningKey| signing.pair.private_pem().to_owned();
        let entries = [
            (PRIVATE_ENTRY, self.current.as_ref().map(private)),
            (NEXT_ENTRY, self.next.as_ref().map(private)),
            (JWKS_ENTRY, Some(jwks(self.public_keys()))),
            (RECORD_ENTRY, Some(json!(record).to_string())),
        ];
        let written = |(name, text): (&str, Option<String>)| Some((name.to_owned(), ByteString(text?.into_bytes())));
        entries.into_iter().filter_map(written).collect()
    }
}

impl PreviousKey {
    /// Returns the record of the key in `rotation.json`.
    fn record(&self) -> PreviousKeyRecord {
        PreviousKeyRecord { jwk: self.jwk.clone(), until: self.until.map(Time) }
    }
}

/// Returns a JWK set as JSON.
fn jwks<'a>(keys: impl IntoIterator<Item = &'a Value>) -> String {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string()
}

/// Returns the ID of a JWK, or `None` if it has none.
fn key_id(jwk: &Value) -> Option<&str> {
    jwk["kid"].as_str()
}
