//! Decides which clients a reactor accepts: none while it drains, and a limited number of each user. No I/O.

use std::collections::hash_map::Entry;

use foldhash::HashMap;
use uuid::Uuid;

use crate::auth::Principal;
use crate::http::error_response::ErrorResponse;

/// The admission of clients to one reactor.
#[derive(Debug)]
pub(super) struct ClientAdmission {
    is_draining: bool,
    /// The most connections of a user; 0 means that there is no limit.
    max_per_user: usize,
    /// Empty without a limit.
    users: UserCounts,
}

impl ClientAdmission {
    /// Creates the admission of a reactor without connections.
    pub(super) fn new(max_per_user: usize) -> ClientAdmission {
        ClientAdmission { is_draining: false, max_per_user, users: UserCounts::default() }
    }

    /// Refuses all clients from now on.
    pub(super) fn refuse_all(&mut self) {
        self.is_draining = true;
    }

    /// Decides about a client, and counts it if it is accepted. Returns the outcome as a label of the metric, and the error
    /// response if the client is refused.
    pub(super) fn admit(&mut self, principal: &Principal) -> (&'static str, Option<ErrorResponse>) {
        if self.is_draining {
            return ("unavailable", Some(ErrorResponse::service_unavailable("This server is shutting down.")));
        }
        if let (Principal::User(_), Some(user)) = (principal, principal.id())
            && self.max_per_user > 0
            && !self.users.try_add(user, self.max_per_user)
        {
            let message = "There are too many connections of this user.";
            return ("limited", Some(ErrorResponse::too_many_requests(message)));
        }
        ("accepted", None)
    }

    /// Uncounts a client that has gone. `user` is `None` on the anonymous hub.
    pub(super) fn release(&mut self, user: Option<Uuid>) {
        if let Some(user) = user.filter(|_| self.max_per_user > 0) {
            self.users.remove(user);
        }
    }
}

/// Connections by user. Users without a connection have no entry.
#[derive(Debug, Default)]
struct UserCounts(HashMap<Uuid, usize>);

impl UserCounts {
    /// Adds a connection of a user. Returns `false` if the user has `max` already, which is at least 1.
    fn try_add(&mut self, user: Uuid, max: usize) -> bool {
        let count = self.0.entry(user).or_default();
        let has_room = *count < max;
        *count += usize::from(has_room);
        has_room
    }

    /// Removes a connection of a user.
    fn remove(&mut self, user: Uuid) {
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
