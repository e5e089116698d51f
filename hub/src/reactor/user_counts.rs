//! How many connections each user of a reactor has. No I/O.

use std::collections::hash_map::Entry;

use foldhash::HashMap;
use uuid::Uuid;

/// Connections by user. Users without a connection have no entry.
#[derive(Debug, Default)]
pub(super) struct UserCounts(HashMap<Uuid, usize>);

impl UserCounts {
    /// Adds a connection of a user. Returns `false` if the user has `max` already, which is at least 1.
    pub(super) fn try_add(&mut self, user: Uuid, max: usize) -> bool {
        let count = self.0.entry(user).or_default();
        let has_room = *count < max;
        *count += usize::from(has_room);
        has_room
    }

    /// Removes a connection of a user.
    pub(super) fn remove(&mut self, user: Uuid) {
        if let Entry::Occupied(mut count) = self.0.entry(user) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn try_add_at_the_maximum_returns_false_until_a_connection_is_removed() {
        let (user, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut counts = UserCounts::default();
        assert!(counts.try_add(user, 2) && counts.try_add(user, 2) && !counts.try_add(user, 2));
        assert!(counts.try_add(other, 2));
        counts.remove(user);
        assert!(counts.try_add(user, 2) && !counts.try_add(user, 2));
        (0..2).for_each(|_| counts.remove(user));
        counts.remove(other);
        assert!(counts.0.is_empty());
    }
}
