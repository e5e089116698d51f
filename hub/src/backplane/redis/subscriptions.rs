//! Which channels are wanted: for each audience, how many clients of this replica belong to it. Pure.

use foldhash::{HashMap, HashSet};

use crate::delivery::Audience;

/// Reference counts, and what Redis has been asked for.
#[derive(Debug, Default)]
pub struct Subscriptions {
    wanted: HashMap<Audience, usize>,
    there: HashSet<Audience>,
    /// Those of which one may differ from the other.
    changed: HashSet<Audience>,
}

/// What to ask of Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// What is wanted and not there.
    pub subscribe: Vec<Audience>,
    /// What is there and not wanted any more.
    pub unsubscribe: Vec<Audience>,
}

impl Subscriptions {
    /// A client of an audience has come.
    pub fn join(&mut self, audience: Audience) {
        let count = self.wanted.entry(audience).or_default();
        *count += 1;
        if *count == 1 {
            self.changed.insert(audience);
        }
    }

    /// A client of an audience has gone.
    pub fn leave(&mut self, audience: Audience) {
        let Some(count) = self.wanted.get_mut(&audience) else { return };
        *count -= 1;
        if *count == 0 {
            self.wanted.remove(&audience);
            self.changed.insert(audience);
        }
    }

    /// What has changed since the last time; it counts as done.
    pub fn change(&mut self) -> Change {
        let mut change = Change::default();
        for audience in self.changed.drain() {
            match (self.wanted.contains_key(&audience), self.there.contains(&audience)) {
                (true, false) => change.subscribe.push(audience),
                (false, true) => change.unsubscribe.push(audience),
                _ => {}
            }
        }
        self.there.extend(change.subscribe.iter().copied());
        change.unsubscribe.iter().for_each(|audience| _ = self.there.remove(audience));
        change
    }

    /// A new connection has nothing yet: all that is wanted will be asked for.
    pub fn begin_anew(&mut self) {
        self.there.clear();
        self.changed = self.wanted.keys().copied().collect();
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

    fn change(subscribe: &[u128], unsubscribe: &[u128]) -> Change {
        let users = |numbers: &[u128]| numbers.iter().copied().map(user).collect();
        Change { subscribe: users(subscribe), unsubscribe: users(unsubscribe) }
    }

    #[test]
    fn subscriptions_first_join_subscribes_and_last_leave_unsubscribes() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.join(user(1));
        assert_eq!(subscriptions.change(), change(&[1], &[]));
        assert_eq!(subscriptions.change(), change(&[], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[1]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[]));
    }

    #[test]
    fn subscriptions_join_and_leave_between_changes_cancel_out() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[]));
        subscriptions.join(user(1));
        subscriptions.change();
        subscriptions.leave(user(1));
        subscriptions.join(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[]));
    }

    #[test]
    fn subscriptions_after_reconnect_subscribe_all_current_channels() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.join(user(1));
        subscriptions.join(user(2));
        subscriptions.change();
        subscriptions.leave(user(2));
        subscriptions.begin_anew();
        assert_eq!(subscriptions.change(), change(&[1], &[]));
        subscriptions.leave(user(1));
        assert_eq!(subscriptions.change(), change(&[], &[1]));
    }
}
