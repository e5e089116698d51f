//! The ids of messages that were handed over and could not be deleted. If one is received again, it is only deleted. No I/O.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Maximum number of ids. The oldest is dropped beyond it; its message would be delivered twice.
const MAX_IDS: usize = 10_000;

/// A bounded set of message ids, in order of insertion.
#[derive(Default)]
pub(super) struct DeliveredIds(Mutex<VecDeque<String>>);

impl DeliveredIds {
    /// Inserts an id, and drops the oldest if there are too many.
    pub(super) fn insert(&self, id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() == MAX_IDS {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
    }

    /// Removes an id. Returns whether it was in the set.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = ids.iter().position(|known| known == id);
        index.and_then(|index| ids.remove(index)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivered_ids_remove_returns_each_id_once_and_drops_the_oldest() {
        let delivered_ids = DeliveredIds::default();
        (0..=MAX_IDS).for_each(|id| delivered_ids.insert(&id.to_string()));
        assert!(!delivered_ids.remove("0"), "the oldest id is dropped");
        assert!(delivered_ids.remove("1"));
        assert!(!delivered_ids.remove("1"));
    }
}
