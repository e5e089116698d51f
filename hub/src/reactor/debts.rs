//! Clients that may not have heard everything that was for them, or of whom nobody knows yet. Pure.

use foldhash::HashMap;

use crate::catch_up::Moment;

/// What there is between a client and what it missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Debt {
    /// Whether it missed something was asked under this number.
    Asked(u64),
    /// It will be told to sync, which has this number.
    Due(u64),
    /// It was told to, which makes up for all that was before a moment.
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

    /// A client will be told to sync; the number of that, unless it will be told already.
    pub(super) fn owe(&mut self, slot: u32) -> Option<u64> {
        if matches!(self.slots.get(&slot), Some(Debt::Due(_))) {
            return None;
        }
        self.last += 1;
        self.slots.insert(slot, Debt::Due(self.last));
        Some(self.last)
    }

    /// A client is told to sync now, which makes up for what it missed until a moment; everybody has heard everything up to
    /// `heard`. False if it is somebody else, who was not there before.
    pub(super) fn pay(&mut self, slot: u32, number: u64, until: Moment, heard: Moment) -> bool {
        let is_it = self.slots.get(&slot) == Some(&Debt::Due(number));
        if is_it && until > heard {
            self.slots.insert(slot, Debt::Paid(until));
        } else if is_it {
            self.slots.remove(&slot);
        }
        is_it
    }

    /// Whether it is not known that a client has heard everything.
    pub(super) fn hold(&self, slot: u32) -> bool {
        matches!(self.slots.get(&slot), Some(Debt::Asked(_) | Debt::Due(_)))
    }

    /// A client leaves. Up to when it has heard everything, if others have until `heard`; nothing if nobody knows.
    pub(super) fn settle(&mut self, slot: u32, heard: Moment) -> Option<Moment> {
        match self.slots.remove(&slot) {
            None => Some(heard),
            Some(Debt::Paid(until)) => Some(heard.max(until)),
            Some(Debt::Asked(_) | Debt::Due(_)) => None,
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
    fn who_will_be_told_to_sync_will_be_once_and_has_heard_nothing_until_then() {
        let mut debts = Debts::default();
        let number = debts.ask(1);
        let due = debts.owe(1).expect("not yet");
        assert!(debts.owe(1).is_none() && !debts.answered(1, number) && debts.hold(1));
        assert_eq!(debts.settle(1, HEARD), None);
        let next = debts.owe(1).expect("somebody else");
        assert!(!debts.pay(1, due, HEARD, HEARD) && debts.pay(1, next, HEARD, HEARD) && !debts.hold(1));
    }

    #[test]
    fn who_was_told_to_sync_has_heard_as_much_as_that_made_up_for() {
        let mut debts = Debts::default();
        let mut made_up = |slot, until| {
            let number = debts.owe(slot).expect("not yet");
            assert!(debts.pay(slot, number, Moment(until), HEARD));
        };
        [(1, 60), (2, 40), (3, 70), (4, 60)].into_iter().for_each(|(slot, until)| made_up(slot, until));
        assert_eq!(debts.settle(4, HEARD), Some(Moment(60)));
        debts.all_heard(Moment(60));
        assert_eq!(debts.slots.len(), 1);
        assert_eq!(debts.settle(1, Moment(65)), Some(Moment(65)));
    }
}
