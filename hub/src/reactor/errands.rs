//! What has to be sent to single clients a little later. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::catch_up::{Moment, Reason};
use crate::connection::Tick;
use crate::delivery::Delivery;

/// Something to send.
#[derive(Debug, Clone)]
pub(super) enum Errand {
    /// A `SyncVault`, to who missed pushes until a moment.
    Sync(Reason, Moment),
    /// The answer to a login request that came before its client.
    Replay(Arc<Delivery>),
}

/// Errands by the tick at which they are due.
#[derive(Default)]
pub(super) struct Errands {
    due: BTreeMap<Tick, Vec<(u32, Uuid, Errand)>>,
}

impl Errands {
    /// Notes an errand for the client in a slot; by the time, that may be another client.
    pub(super) fn add(&mut self, due: Tick, slot: u32, id: Uuid, errand: Errand) {
        self.due.entry(due).or_default().push((slot, id, errand));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Tick> {
        self.due.first_key_value().map(|(due, _)| *due)
    }

    /// Takes what is due by now.
    pub(super) fn take(&mut self, now: Tick) -> Vec<(u32, Uuid, Errand)> {
        let mut taken = Vec::new();
        while let Some(first) = self.due.first_entry().filter(|first| *first.key() <= now) {
            taken.extend(first.remove());
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errands_come_when_they_are_due_and_in_order() {
        let mut errands = Errands::default();
        for (due, slot) in [(5, 1), (3, 2), (5, 3)] {
            let sync = Errand::Sync(Reason::Missed, Moment::default());
            errands.add(Tick(due), slot, Uuid::nil(), sync);
        }
        let mut slots = |now| errands.take(Tick(now)).into_iter().map(|(slot, ..)| slot).collect::<Vec<_>>();
        assert_eq!((slots(2), slots(4), slots(9)), (vec![], vec![2], vec![1, 3]));
        assert_eq!(errands.next(), None);
    }
}
