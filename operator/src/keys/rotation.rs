//! Plans the rotation of the generated keys. No I/O.
//!
//! ```text
//!            publish       promote                  forget
//!  current ─────┬─────────────┬────────────────────────┐
//!               └ next ───────┴ current ─ ...          │
//!                             └ previous ──────────────┘
//!                 3 minutes          overlap
//! ```

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use notification_hub_crds::v1alpha1::{KeyAlgorithm, KeyTimes};

use super::{KeyPair, KeyRing, PreviousKey, SigningKey};

/// Time between the publication of a public key and the first use of its private half. Kubelets take up to two minutes
/// to update the pods.
pub const PUBLICATION_LEAD_TIME: Duration = Duration::from_secs(180);

/// Rotation settings of a hub's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// Algorithm of new keys.
    pub algorithm: KeyAlgorithm,
    /// Time for which a key signs.
    pub rotation_interval: Duration,
    /// Time for which tokens of the previous key are accepted.
    pub overlap: Duration,
}

/// A key that has to be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// The current key.
    Current,
    /// The next key.
    Next,
}

/// The desired keys, without the one that has to be generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPlan {
    /// The keys.
    pub ring: KeyRing,
    /// The key that has to be generated, or `None`.
    pub missing: Option<MissingKey>,
    policy: RotationPolicy,
    now: Timestamp,
}

/// Plans the desired keys from the stored ones at `now`.
pub fn plan_rotation(stored: KeyRing, policy: RotationPolicy, now: Timestamp) -> RotationPlan {
    let KeyRing { current, next, previous } = stored;
    let overlap = saturating_add(now, policy.overlap);
    // Times in the future come from another clock and are limited to now. The end of a longer overlap is limited, too.
    let not_in_future = |signing: SigningKey| SigningKey { since: signing.since.min(now), ..signing };
    let limited =
        |key: PreviousKey| PreviousKey { until: Some(key.until.map_or(overlap, |until| until.min(overlap))), ..key };
    let mut ring = KeyRing {
        current: current.map(not_in_future),
        next: next.map(not_in_future).filter(|next| next.pair.algorithm() == policy.algorithm),
        previous: previous.into_iter().map(limited).collect(),
    };
    ring.previous.retain(|key| key.until.is_some_and(|until| until > now));

    let mut missing = None;
    match (&ring.current, &ring.next) {
        // The current key is missing or invalid. The pods may have the public half of the next one already.
        (None, Some(_)) => promote(&mut ring, now, overlap),
        (None, None) => missing = Some(MissingKey::Current),
        (Some(current), Some(next)) => {
            if now >= rotation_due(current, &policy).max(saturating_add(next.since, PUBLICATION_LEAD_TIME)) {
                promote(&mut ring, now, overlap);
            }
        }
        (Some(current), None) => {
            if saturating_add(now, PUBLICATION_LEAD_TIME) >= rotation_due(current, &policy) {
                missing = Some(MissingKey::Next);
            }
        }
    }
    RotationPlan { ring, missing, policy, now }
}

/// Makes the next key the current one, and the current one a previous one.
fn promote(ring: &mut KeyRing, now: Timestamp, overlap: Timestamp) {
    let next = ring.next.take().map(|next| SigningKey { since: now, ..next });
    let before = std::mem::replace(&mut ring.current, next);
    ring.previous.extend(
        before
            .filter(|_| overlap > now)
            .map(|before| PreviousKey { jwk: before.pair.jwk().clone(), until: Some(overlap) }),
    );
}

/// Returns when the next key should replace the current one.
fn rotation_due(current: &SigningKey, policy: &RotationPolicy) -> Timestamp {
    if current.pair.algorithm() == policy.algorithm {
        saturating_add(current.since, policy.rotation_interval)
    } else {
        current.since
    }
}

/// Subtracts a duration, down to the earliest timestamp.
fn saturating_sub(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

/// Adds a duration, up to the latest timestamp.
fn saturating_add(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl RotationPlan {
    /// Returns the algorithm of a key that has to be generated.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.policy.algorithm
    }

    /// Returns the desired keys, including the generated one.
    pub fn into_ring(mut self, generated: KeyPair) -> KeyRing {
        let signing = Some(SigningKey { pair: generated, since: self.now });
        match self.missing {
            Some(MissingKey::Current) => self.ring.current = signing,
            Some(MissingKey::Next) => self.ring.next = signing,
            None => {}
        }
        self.ring
    }

    /// Returns the times for the status, once the plan is applied.
    pub fn times(&self) -> KeyTimes {
        let last = self.ring.current.as_ref().map_or(self.now, |current| current.since);
        KeyTimes { last_rotation_time: Time(last), next_rotation_time: Time(self.promotion()) }
    }

    /// Returns when the next step of the rotation is due, once the plan is applied.
    pub fn due(&self) -> Timestamp {
        let is_published = self.ring.next.is_some() || self.missing == Some(MissingKey::Next);
        let next =
            if is_published { self.promotion() } else { saturating_sub(self.promotion(), PUBLICATION_LEAD_TIME) };
        self.ring.previous.iter().filter_map(|key| key.until).fold(next, Timestamp::min)
    }

    /// Returns when the next key becomes the current one.
    fn promotion(&self) -> Timestamp {
        let Some(current) = &self.ring.current else { return saturating_add(self.now, self.policy.rotation_interval) };
        let published = match (&self.ring.next, self.missing) {
            (Some(next), _) => saturating_add(next.since, PUBLICATION_LEAD_TIME),
            (None, Some(_)) => saturating_add(self.now, PUBLICATION_LEAD_TIME),
            (None, None) => current.since,
        };
        rotation_due(current, &self.policy).max(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const CREATED: i64 = 1_000 * HOUR;
    const POLICY: RotationPolicy = RotationPolicy {
        algorithm: KeyAlgorithm::ES256,
        rotation_interval: Duration::from_secs(720 * 3600),
        overlap: Duration::from_secs(24 * 3600),
    };
    const ROTATION_DUE: i64 = CREATED + 720 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn signing_key(algorithm: KeyAlgorithm, since: i64) -> SigningKey {
        SigningKey { pair: KeyPair::generate(algorithm).expect("a pair"), since: at(since) }
    }

    fn previous(until: Option<i64>) -> PreviousKey {
        let pair = KeyPair::generate(KeyAlgorithm::ES256).expect("a pair");
        PreviousKey { jwk: pair.jwk().clone(), until: until.map(at) }
    }

    /// Describes a plan by the names `a`, `b` and so on of the keys: the current, the next, the previous ones, the missing one.
    fn describe(plan: &RotationPlan, keys: &[&KeyPair]) -> String {
        let name = |pair: &KeyPair| keys.iter().position(|key| *key == pair).map_or('?', letter);
        let name_or_dash = |signing: &Option<SigningKey>| signing.as_ref().map_or('-', |signing| name(&signing.pair));
        let previous = plan
            .ring
            .previous
            .iter()
            .map(|key| keys.iter().position(|pair| pair.jwk() == &key.jwk).map_or('?', letter));
        let missing = plan.missing.map_or(String::new(), |missing| format!(" {missing:?}"));
        format!(
            "{}{}{}{missing}",
            name_or_dash(&plan.ring.current),
            name_or_dash(&plan.ring.next),
            previous.collect::<String>()
        )
    }

    fn letter(index: usize) -> char {
        char::from(b'a' + u8::try_from(index).expect("few"))
    }

    #[test]
    fn plan_of_key_ring_and_time_matches_the_table() {
        let (a, b) = (signing_key(KeyAlgorithm::ES256, CREATED), signing_key(KeyAlgorithm::ES256, ROTATION_DUE - 180));
        let late = SigningKey { since: at(ROTATION_DUE + 50), ..b.clone() };
        let old = PreviousKey { jwk: b.pair.jwk().clone(), until: Some(at(CREATED + 24 * HOUR)) };
        let ring = |current: &SigningKey, next: Option<&SigningKey>, previous: Vec<PreviousKey>| KeyRing {
            current: Some(current.clone()),
            next: next.cloned(),
            previous,
        };
        let nothing = KeyRing::default();
        let alone = || ring(&a, None, Vec::new());
        let rsa = signing_key(KeyAlgorithm::RS256, CREATED);
        // Case, stored keys, time, expected plan, time of the next rotation, time of the next step.
        let table = [
            ("no key", nothing.clone(), CREATED, "-- Current", ROTATION_DUE, ROTATION_DUE - 180),
            ("new key", alone(), CREATED + 5, "a-", ROTATION_DUE, ROTATION_DUE - 180),
            ("one second before publication", alone(), ROTATION_DUE - 181, "a-", ROTATION_DUE, ROTATION_DUE - 180),
            ("publication of the next key", alone(), ROTATION_DUE - 180, "a- Next", ROTATION_DUE, ROTATION_DUE),
            (
                "publication after an outage of the operator",
                alone(),
                ROTATION_DUE + 50,
                "a- Next",
                ROTATION_DUE + 230,
                ROTATION_DUE + 230,
            ),
            (
                "one second before rotation",
                ring(&a, Some(&b), Vec::new()),
                ROTATION_DUE - 1,
                "ab",
                ROTATION_DUE,
                ROTATION_DUE,
            ),
            (
                "rotation",
                ring(&a, Some(&b), Vec::new()),
                ROTATION_DUE,
                "b-a",
                ROTATION_DUE + 720 * HOUR,
                ROTATION_DUE + 24 * HOUR,
            ),
            (
                "next key published for too short a time",
                ring(&a, Some(&late), Vec::new()),
                ROTATION_DUE + 229,
                "ab",
                ROTATION_DUE + 230,
                ROTATION_DUE + 230,
            ),
            (
                "next key published long enough",
                ring(&a, Some(&late), Vec::new()),
                ROTATION_DUE + 230,
                "b-a",
                ROTATION_DUE + 230 + 720 * HOUR,
                ROTATION_DUE + 230 + 24 * HOUR,
            ),
            (
                "previous key within its overlap",
                ring(&a, None, vec![old.clone()]),
                CREATED + 24 * HOUR - 1,
                "a-b",
                ROTATION_DUE,
                CREATED + 24 * HOUR,
            ),
            (
                "previous key after its overlap",
                ring(&a, None, vec![old]),
                CREATED + 24 * HOUR,
                "a-",
                ROTATION_DUE,
                ROTATION_DUE - 180,
            ),
            (
                "current key of another algorithm",
                ring(&rsa, None, Vec::new()),
                CREATED + 5,
                "c- Next",
                CREATED + 185,
                CREATED + 185,
            ),
            (
                "next key of another algorithm",
                ring(&a, Some(&rsa), Vec::new()),
                ROTATION_DUE - 9,
                "a- Next",
                ROTATION_DUE + 171,
                ROTATION_DUE + 171,
            ),
            (
                "invalid current key, and a next key",
                KeyRing { next: Some(b.clone()), ..nothing },
                CREATED,
                "b-",
                ROTATION_DUE,
                ROTATION_DUE - 180,
            ),
        ];
        for (case, stored, now, expected, promotion, due) in table {
            let plan = plan_rotation(stored, POLICY, at(now));
            assert_eq!(describe(&plan, &[&a.pair, &b.pair, &rsa.pair]), expected, "{case}");
            assert_eq!(plan.times().next_rotation_time.0, at(promotion), "{case}");
            assert_eq!(plan.due(), at(due), "{case}");
        }
    }

    #[test]
    fn plan_clamps_future_times_and_overlaps() {
        let ahead = KeyRing {
            current: Some(signing_key(KeyAlgorithm::ES256, ROTATION_DUE)),
            next: None,
            previous: vec![previous(Some(ROTATION_DUE)), previous(None)],
        };
        let plan = plan_rotation(ahead, POLICY, at(CREATED));
        assert_eq!(plan.times().last_rotation_time.0, at(CREATED));
        let until: Vec<_> = plan.ring.previous.iter().map(|key| key.until).collect();
        assert_eq!(until, [Some(at(CREATED + 24 * HOUR)); 2]);
    }

    /// Plans every second of three rotations, with a restart before each plan and one outage.
    #[test]
    fn rotation_with_restarts_keeps_every_signed_token_valid() {
        let policy = RotationPolicy {
            algorithm: KeyAlgorithm::ES256,
            rotation_interval: Duration::from_secs(1000),
            overlap: Duration::from_secs(300),
        };
        let mut entries = std::collections::BTreeMap::new();
        let mut published: std::collections::BTreeMap<String, i64> = std::collections::BTreeMap::new();
        let mut signed: Vec<(String, i64)> = Vec::new();
        for now in 0..4000 {
            if (1500..2300).contains(&now) {
                continue;
            }
            let plan = plan_rotation(KeyRing::from_entries(&entries, at(0), at(now)), policy, at(now));
            let ring = match plan.missing {
                Some(_) => plan.into_ring(KeyPair::generate(policy.algorithm).expect("a pair")),
                None => plan.ring,
            };
            entries = ring.entries();
            let id = |jwk: &serde_json::Value| jwk["kid"].as_str().expect("an id").to_owned();
            let text = String::from_utf8(entries["jwks.json"].0.clone()).expect("text");
            let jwks: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let valid: Vec<_> = jwks["keys"].as_array().expect("keys").iter().map(id).collect();
            valid.iter().for_each(|key| _ = published.entry(key.clone()).or_insert(now));
            let current = id(ring.current.expect("a key").pair.jwk());
            assert!(published[&current] == 0 || published[&current] + 180 <= now, "it signs too early at {now}");
            if signed.last().is_none_or(|(last, _)| *last != current) {
                signed.push((current, now));
            }
            // Tokens of the replaced key are accepted for 300 seconds.
            let replaced = signed.len().checked_sub(2).map(|last| &signed[last]);
            let since = signed.last().expect("one").1;
            assert!(replaced.is_none_or(|(key, _)| valid.contains(key) == (now < since + 300)), "at {now}");
        }
        let since: Vec<_> = signed.iter().map(|(_, since)| *since).collect();
        assert_eq!(since, [0, 1000, 2480, 3480]);
    }
}
