//! Clients of whom nobody knows yet whether they have heard everything that was for them, and those that heard it by a sync. Pure.

use foldhash::HashMap;

use crate::catch_up::Moment;

/// What there is between a client and what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debt {
    /// Whether it missed something was asked under this number.
    Asked(u64),
    /// It was told to sync, which makes up for all that was before a moment.
    Paid(Moment),
}

/// By slot. Of most clients there is nothing to say.
#[derive(Debug, Default)]
pub(super) struct Debts {
    slots: HashMap<u32, Debt>,
    last: u64,
}

impl Debts {
    /// Somebody is asked what a client missed; the number of the question.
    pub(super) fn ask(&mut self, slot: u32) -> u64 {
        self.last += 1;
        self.slots.insert(slot, Debt::Asked(self.last));
        self.last
    }

    /// A question was answered. False if that is of no account: the client will be told to sync anyway, or somebody else is in
    /// its slot.
    pub(super) fn answered(&mut self, slot: u32, number: u64) -> bool {
        let is_it = self.slots.get(&slot) == Some(&Debt::Asked(number));
        if is_it {
            self.slots.remove(&slot);
        }
        is_it
    }

    /// What was asked or paid is of no account: the client will be told to sync.
    pub(super) fn forget(&mut self, slot: u32) {
        if !self.slots.is_empty() {
            self.slots.remove(&slot);
        }
    }

    /// A client was told to sync, which makes up for what it missed until a moment; everybody has heard everything up to
    /// `heard`.
    pub(super) fn pay(&mut self, slot: u32, until: Moment, heard: Moment) {
        if until > heard {
            self.slots.insert(slot, Debt::Paid(until));
        }
    }

    /// Whether it is not known yet what a client missed.
    pub(super) fn hold(&self, slot: u32) -> bool {
        matches!(self.slots.get(&slot), Some(Debt::Asked(_)))
    }

    /// A client leaves. Up to when it has heard everything, if others have until `heard`; nothing if nobody knows.
    pub(super) fn settle(&mut self, slot: u32, heard: Moment) -> Option<Moment> {
        if self.slots.is_empty() {
            return Some(heard);
        }
        match self.slots.remove(&slot) {
            None => Some(heard),
            Some(Debt::Paid(until)) => Some(heard.max(until)),
            Some(Debt::Asked(_)) => None,
        }
    }

    /// Everybody has heard everything up to a moment.
    pub(super) fn all_heard(&mut self, until: Moment) {
        self.slots.retain(|_, debt| !matches!(debt, Debt::Paid(paid) if *paid <= until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD: Moment = Moment(50);

    #[test]
    fn who_owes_nothing_has_heard_what_the_others_have() {
        assert_eq!(Debts::default().settle(1, HEARD), Some(HEARD));
    }

    #[test]
    fn of_whom_nothing_is_known_yet_nothing_is_said() {
        let mut debts = Debts::default();
        let number = debts.ask(1);
        assert_eq!(debts.settle(1, HEARD), None);
        // Somebody else came to the slot: the answer is not about that one.
        let next = debts.ask(1);
        assert!(!debts.answered(1, number) && debts.answered(1, next) && !debts.answered(1, next));
        assert_eq!(debts.settle(1, HEARD), Some(HEARD));
    }

    #[test]
    fn who_will_be_told_to_sync_anyway_need_not_be_answered() {
        let mut debts = Debts::default();
        let number = debts.ask(1);
        assert!(debts.hold(1));
        debts.forget(1);
        assert!(!debts.hold(1) && !debts.answered(1, number));
    }

    #[test]
    fn who_was_told_to_sync_has_heard_as_much_as_that_made_up_for() {
        let mut debts = Debts::default();
        for (slot, until) in [(1, 60), (2, 40), (3, 70), (4, 60)] {
            debts.pay(slot, Moment(until), HEARD);
        }
        assert_eq!(debts.settle(4, HEARD), Some(Moment(60)));
        debts.all_heard(Moment(60));
        assert_eq!(debts.slots.len(), 1);
        assert_eq!(debts.settle(1, Moment(65)), Some(Moment(65)));
    }
}
