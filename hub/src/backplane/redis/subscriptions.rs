//! The subscriptions of this replica: counts the clients of each audience, and computes the changes. No I/O.

use foldhash::{HashMap, HashSet};

use crate::delivery::Audience;

/// The audiences of this replica's clients, and the active subscriptions.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// The number of clients of each audience.
    refcounts: HashMap<Audience, usize>,
    active: HashSet<Audience>,
    /// The audiences for which `refcounts` and `active` may differ.
    dirty: HashSet<Audience>,
}

/// The changes that make the active subscriptions those that are needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// The audiences to subscribe to.
    pub subscribe: Vec<Audience>,
    /// The audiences to unsubscribe from.
    pub unsubscribe: Vec<Audience>,
}

impl Subscriptions {
    /// Adds a client to an audience.
    pub fn join(&mut self, audience: Audience) {
        let count = self.refcounts.entry(audience).or_default();
        *count += 1;
        if *count == 1 {
            self.dirty.insert(audience);
        }
    }

    /// Removes a client from an audience.
    pub fn leave(&mut self, audience: Audience) {
        let Some(count) = self.refcounts.get_mut(&audience) else { return };
        *count -= 1;
        if *count == 0 {
            self.refcounts.remove(&audience);
            self.dirty.insert(audience);
        }
    }

    /// Returns the changes since the last call, and marks them as applied.
    pub fn take_changes(&mut self) -> SubscriptionChange {
        let mut change = SubscriptionChange::default();
        for audience in self.dirty.drain() {
            match (self.refcounts.contains_key(&audience), self.active.contains(&audience)) {
                (true, false) => change.subscribe.push(audience),
                (false, true) => change.unsubscribe.push(audience),
                _ => {}
            }
        }
        self.active.extend(change.subscribe.iter().copied());
        change.unsubscribe.iter().for_each(|audience| _ = self.active.remove(audience));
        change
    }

    /// Clears the active subscriptions, for a new connection.
    pub fn reset_active(&mut self) {
        self.active.clear();
        self.dirty = self.refcounts.keys().copied().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::ClientType;
    use uuid::Uuid;

    fn user(number: u128) -> Audience {
        Audience::User(Uuid::from_u128(number), ClientType::All)
    }

    fn change(subscribe: &[u128], unsubscribe: &[u128]) -> SubscriptionChange {
        let users = |numbers: &[u128]| numbers.iter().copied().map(user).collect();
        SubscriptionChange { subscribe: users(subscribe), unsubscribe: users(unsubscribe) }
    }

    #[test]
    fn subscriptions_first_join_subscribes_and_last_leave_unsubscribes() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.join(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[1], &[]));
        assert_eq!(subscriptions.take_changes(), change(&[], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[1]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[]));
    }

    #[test]
    fn subscriptions_join_and_leave_between_changes_cancel_out() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[]));
        subscriptions.join(user(1));
        subscriptions.take_changes();
        subscriptions.leave(user(1));
        subscriptions.join(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[]));
    }

    #[test]
    fn subscriptions_after_reconnect_subscribe_all_current_channels() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.join(user(2));
        subscriptions.take_changes();
        subscriptions.leave(user(2));
        subscriptions.reset_active();
        assert_eq!(subscriptions.take_changes(), change(&[1], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.take_changes(), change(&[], &[1]));
    }
}
