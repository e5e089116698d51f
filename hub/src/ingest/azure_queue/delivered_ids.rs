//! The ids of messages that were delivered and could not be deleted. When they are received again, they are deleted only.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// The most ids. The oldest are forgotten; their messages would be delivered twice.
const MAX_IDS: usize = 10_000;

/// The ids of such messages.
#[derive(Default)]
pub(super) struct DeliveredIds(Mutex<VecDeque<String>>);

impl DeliveredIds {
    /// Inserts the id of a message.
    pub(super) fn insert(&self, id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() == MAX_IDS {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
    }

    /// Removes the id of a message. Returns whether it was there.
    pub(super) fn remove(&self, id: &str) -> bool {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = ids.iter().position(|known| known == id);
        place.and_then(|place| ids.remove(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undeleted_returns_each_id_once_and_drops_the_oldest() {
        let delivered_ids = DeliveredIds::default();
        (0..=MAX_IDS).for_each(|id| delivered_ids.insert(&id.to_string()));
        assert!(!delivered_ids.remove("0"), "the oldest is forgotten");
        assert!(delivered_ids.remove("1"));
        assert!(!delivered_ids.remove("1"));
    }
}
