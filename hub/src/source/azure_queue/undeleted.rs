//! Messages that were handed over and could not be deleted: when they come again, they are deleted and nothing else.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are remembered; of more, the oldest are forgotten and would be delivered twice.
const MOST: usize = 10_000;

/// The ids of such messages.
#[derive(Default)]
pub(super) struct Undeleted(Mutex<VecDeque<String>>);

impl Undeleted {
    /// Remembers a message.
    pub(super) fn remember(&self, id: &str) {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() == MOST {
            ids.pop_front();
        }
        ids.push_back(id.to_owned());
    }

    /// Whether a message is remembered; it is forgotten with that.
    pub(super) fn take(&self, id: &str) -> bool {
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
        let undeleted = Undeleted::default();
        (0..=MOST).for_each(|id| undeleted.remember(&id.to_string()));
        assert!(!undeleted.take("0"), "the oldest is forgotten");
        assert!(undeleted.take("1"));
        assert!(!undeleted.take("1"));
    }
}
