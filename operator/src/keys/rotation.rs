//! Plans when the next generated key replaces the current one. No I/O.
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
    /// What they sign with.
    pub algorithm: KeyAlgorithm,
    /// How long each of them does.
    pub rotate_every: Duration,
    /// How long tokens of the one before are accepted.
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

/// The desired keys, except for one that has to be generated.
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
    // Times ahead, which no clock of ours has written, are brought back; so is the end of a longer overlap.
    let past = |signing: SigningKey| SigningKey { since: signing.since.min(now), ..signing };
    let limited =
        |key: PreviousKey| PreviousKey { until: Some(key.until.map_or(overlap, |until| until.min(overlap))), ..key };
    let mut ring = KeyRing {
        current: current.map(past),
        next: next.map(past).filter(|next| next.pair.algorithm() == policy.algorithm),
        previous: previous.into_iter().map(limited).collect(),
    };
    ring.previous.retain(|key| key.until.is_some_and(|until| until > now));

    let mut missing = None;
    match (&ring.current, &ring.next) {
        // A broken key: the next one may be known to the pods already.
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
        saturating_add(current.since, policy.rotate_every)
    } else {
        current.since
    }
}

fn saturating_sub(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.checked_sub(duration).unwrap_or(Timestamp::MIN)
}

fn saturating_add(time: Timestamp, duration: Duration) -> Timestamp {
    let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl RotationPlan {
    /// Returns the algorithm of the key that has to be generated.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.policy.algorithm
    }

    /// Returns the desired keys, including the generated one.
    pub fn into_ring(mut self, made: KeyPair) -> KeyRing {
        let signing = Some(SigningKey { pair: made, since: self.now });
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
        KeyTimes { last_rotation: Time(last), next_rotation: Time(self.promotion()) }
    }

    /// Returns when to plan again, once the plan is applied.
    pub fn due(&self) -> Timestamp {
        let is_published = self.ring.next.is_some() || self.missing == Some(MissingKey::Next);
        let next =
            if is_published { self.promotion() } else { saturating_sub(self.promotion(), PUBLICATION_LEAD_TIME) };
        self.ring.previous.iter().filter_map(|key| key.until).fold(next, Timestamp::min)
    }

    /// Returns when the next key becomes the current one.
    fn promotion(&self) -> Timestamp {
        let Some(current) = &self.ring.current else { return saturating_add(self.now, self.policy.rotate_every) };
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
    const MADE: i64 = 1_000 * HOUR;
    const POLICY: RotationPolicy = RotationPolicy {
        algorithm: KeyAlgorithm::ES256,
        rotate_every: Duration::from_secs(720 * 3600),
        overlap: Duration::from_secs(24 * 3600),
    };
    const ENDS: i64 = MADE + 720 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn made(algorithm: KeyAlgorithm, since: i64) -> SigningKey {
        SigningKey { pair: KeyPair::generate(algorithm).expect("a pair"), since: at(since) }
    }

    fn previous(until: Option<i64>) -> PreviousKey {
        let pair = KeyPair::generate(KeyAlgorithm::ES256).expect("a pair");
        PreviousKey { jwk: pair.jwk().clone(), until: until.map(at) }
    }

    /// What a plan says of keys that have the names `a`, `b` and so on: which signs, which is next, which are previous.
    fn said(plan: &RotationPlan, keys: &[&KeyPair]) -> String {
        let name = |pair: &KeyPair| keys.iter().position(|key| *key == pair).map_or('?', letter);
        let of = |signing: &Option<SigningKey>| signing.as_ref().map_or('-', |signing| name(&signing.pair));
        let previous = plan
            .ring
            .previous
            .iter()
            .map(|key| keys.iter().position(|pair| pair.jwk() == &key.jwk).map_or('?', letter));
        let missing = plan.missing.map_or(String::new(), |missing| format!(" {missing:?}"));
        format!("{}{}{}{missing}", of(&plan.ring.current), of(&plan.ring.next), previous.collect::<String>())
    }

    fn letter(index: usize) -> char {
        char::from(b'a' + u8::try_from(index).expect("few"))
    }

    #[test]
    fn plan_of_key_ring_and_time_matches_the_table() {
        let (a, b) = (made(KeyAlgorithm::ES256, MADE), made(KeyAlgorithm::ES256, ENDS - 180));
        let late = SigningKey { since: at(ENDS + 50), ..b.clone() };
        let old = PreviousKey { jwk: b.pair.jwk().clone(), until: Some(at(MADE + 24 * HOUR)) };
        let ring = |current: &SigningKey, next: Option<&SigningKey>, previous: Vec<PreviousKey>| KeyRing {
            current: Some(current.clone()),
            next: next.cloned(),
            previous,
        };
        let nothing = KeyRing::default();
        let alone = || ring(&a, None, Vec::new());
        let rsa = made(KeyAlgorithm::RS256, MADE);
        // The keys, the time, what becomes of them, when the next takes over, when to look again.
        let table = [
            ("there is none", nothing.clone(), MADE, "-- Current", ENDS, ENDS - 180),
            ("a young key", alone(), MADE + 5, "a-", ENDS, ENDS - 180),
            ("a moment before the next is due", alone(), ENDS - 181, "a-", ENDS, ENDS - 180),
            ("the next is due", alone(), ENDS - 180, "a- Next", ENDS, ENDS),
            ("the operator was away", alone(), ENDS + 50, "a- Next", ENDS + 230, ENDS + 230),
            ("the next is out", ring(&a, Some(&b), Vec::new()), ENDS - 1, "ab", ENDS, ENDS),
            ("it takes over", ring(&a, Some(&b), Vec::new()), ENDS, "b-a", ENDS + 720 * HOUR, ENDS + 24 * HOUR),
            ("it is not out long enough", ring(&a, Some(&late), Vec::new()), ENDS + 229, "ab", ENDS + 230, ENDS + 230),
            (
                "it is now",
                ring(&a, Some(&late), Vec::new()),
                ENDS + 230,
                "b-a",
                ENDS + 230 + 720 * HOUR,
                ENDS + 230 + 24 * HOUR,
            ),
            (
                "an old key in its overlap",
                ring(&a, None, vec![old.clone()]),
                MADE + 24 * HOUR - 1,
                "a-b",
                ENDS,
                MADE + 24 * HOUR,
            ),
            ("an old key behind it", ring(&a, None, vec![old]), MADE + 24 * HOUR, "a-", ENDS, ENDS - 180),
            ("another algorithm", ring(&rsa, None, Vec::new()), MADE + 5, "c- Next", MADE + 185, MADE + 185),
            (
                "the next one of another algorithm",
                ring(&a, Some(&rsa), Vec::new()),
                ENDS - 9,
                "a- Next",
                ENDS + 171,
                ENDS + 171,
            ),
            (
                "a broken key, and a next one",
                KeyRing { next: Some(b.clone()), ..nothing },
                MADE,
                "b-",
                ENDS,
                ENDS - 180,
            ),
        ];
        for (case, stored, now, expected, promotion, due) in table {
            let plan = plan_rotation(stored, POLICY, at(now));
            assert_eq!(said(&plan, &[&a.pair, &b.pair, &rsa.pair]), expected, "{case}");
            assert_eq!(plan.times().next_rotation.0, at(promotion), "{case}");
            assert_eq!(plan.due(), at(due), "{case}");
        }
    }

    #[test]
    fn plan_clamps_future_times_and_overlaps() {
        let ahead = KeyRing {
            current: Some(made(KeyAlgorithm::ES256, ENDS)),
            next: None,
            previous: vec![previous(Some(ENDS)), previous(None)],
        };
        let plan = plan_rotation(ahead, POLICY, at(MADE));
        assert_eq!(plan.times().last_rotation.0, at(MADE));
        let until: Vec<_> = plan.ring.previous.iter().map(|key| key.until).collect();
        assert_eq!(until, [Some(at(MADE + 24 * HOUR)); 2]);
    }

    /// Every second of three rotations, with an operator that is restarted all the time and sometimes away.
    #[test]
    fn rotation_with_restarts_keeps_every_signed_token_valid() {
        let policy = RotationPolicy {
            algorithm: KeyAlgorithm::ES256,
            rotate_every: Duration::from_secs(1000),
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
            assert!(published[&current] == 0 || published[&current] + 180 <= now, "it signs at {now}");
            if signed.last().is_none_or(|(last, _)| *last != current) {
                signed.push((current, now));
            }
            // Tokens of 300 seconds, also of the one that was replaced last.
            let replaced = signed.len().checked_sub(2).map(|last| &signed[last]);
            let since = signed.last().expect("one").1;
            assert!(replaced.is_none_or(|(key, _)| valid.contains(key) == (now < since + 300)), "at {now}");
        }
        let since: Vec<_> = signed.iter().map(|(_, since)| *since).collect();
        assert_eq!(since, [0, 1000, 2480, 3480]);
    }
}
