//! A bounded cache of the claims of verified tokens. No I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::Claims;
use super::digest::Digest;

/// A map from token digests to claims. The token that was verified longest ago is evicted first.
pub(super) struct ClaimsCache {
    capacity: usize,
    claims: HashMap<Digest, Arc<Claims>>,
    /// The keys of `claims`, oldest first.
    order: VecDeque<Digest>,
}

impl ClaimsCache {
    /// Creates an empty cache for at most `capacity` tokens.
    pub(super) fn new(capacity: usize) -> ClaimsCache {
        ClaimsCache { capacity, claims: HashMap::new(), order: VecDeque::new() }
    }

    /// Returns the claims of a token, or `None` if they are not cached.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Claims>> {
        self.claims.get(digest).cloned()
    }

    /// Adds the claims of a token. If the cache is full, evicts the oldest token.
    pub(super) fn insert(&mut self, digest: Digest, claims: Arc<Claims>) {
        if self.claims.insert(digest, claims).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.claims.remove(&oldest);
        }
    }

    /// Removes all tokens.
    pub(super) fn clear(&mut self) {
        self.claims.clear();
        self.order.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::ValidationRules;
    use super::*;

    fn claims() -> Arc<Claims> {
        Claims::read(br#"{"exp":2}"#, &ValidationRules::default(), None, 1.0).expect("valid").into()
    }

    #[test]
    fn claims_cache_full_evicts_the_oldest_token() {
        let mut cache = ClaimsCache::new(3);
        for number in 0..10u8 {
            cache.insert([number; 16], claims());
            // A second insert of the same token evicts nothing.
            cache.insert([number; 16], claims());
            for other in 0..=number {
                assert_eq!(cache.get(&[other; 16]).is_some(), other + 3 > number, "{other} after {number}");
            }
        }
        cache.clear();
        assert!(cache.get(&[9; 16]).is_none());
    }
}
