//! What one device has read, and when it was connected.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

/// How long after a push a client that is still connected has got it, on a busy machine.
const DELIVERED: Duration = Duration::from_secs(3);

/// One device.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// The pushes that it has read, by their numbers, and when it did so first.
    read: HashMap<usize, Instant>,
    /// How many of them it has read twice on one connection: one that moves to another replica may get a push at both.
    pub(super) duplicates: usize,
    /// When it read that it should sync.
    pub(super) syncs: Vec<Instant>,
    /// From when to when each of its connections was read that have ended.
    pub(super) lives: Vec<(Instant, Instant)>,
}

/// A push.
pub(super) struct Push {
    pub(super) put: Instant,
    pub(super) covered: bool,
    /// The user that it is for, or all of the organization.
    pub(super) user: Option<usize>,
    /// The device of that user that caused it.
    pub(super) by: Option<usize>,
}

/// What became of a push to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Read,
    /// Made up for by a sync.
    Covered,
    /// Of a type that a sync makes up for, and neither read nor made up for.
    Lost,
    /// Of a type that nothing makes up for, and the device was away.
    Away,
    /// Of a type that nothing makes up for, and the device was connected all the time.
    Missed,
}

/// The id by which a push is told from others.
pub(super) fn push_id(number: usize) -> String {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | number as u128).to_string()
}

impl Device {
    /// Notes a message. Returns the number of the push that it is, if it tells.
    pub(super) fn take(&mut self, text: &str) -> Option<usize> {
        let message: Value = serde_json::from_str(&text[text.find("{\"type\":1,")?..]).ok()?;
        let push = &message["arguments"][0];
        if push["type"] == 5 {
            self.syncs.push(Instant::now());
        }
        let id = Uuid::parse_str(push["payload"]["id"].as_str()?).ok()?;
        let number = (id.as_u128() & 0xffff_ffff) as usize;
        self.read.entry(number).or_insert_with(Instant::now);
        Some(number)
    }

    /// Returns what became of a push that is for this device.
    pub(super) fn fate(&self, number: usize, push: &Push) -> Fate {
        let was_connected = || self.lives.iter().any(|(from, to)| *from < push.put && push.put + DELIVERED < *to);
        match push.covered {
            _ if self.read.contains_key(&number) => Fate::Read,
            true if self.syncs.last().is_some_and(|sync| *sync > push.put) => Fate::Covered,
            true => Fate::Lost,
            false if was_connected() => Fate::Missed,
            false => Fate::Away,
        }
    }

    /// Returns how many syncs made up for nothing: each push before them had been read, or made up for by the sync before.
    /// `pushes` are those for this device, with their numbers.
    pub(super) fn needless_syncs(&self, pushes: &[(usize, &Push)]) -> usize {
        let is_needed = |(index, sync): (usize, &Instant)| {
            let previous = index.checked_sub(1).map(|index| self.syncs[index]);
            pushes.iter().any(|(number, push)| {
                let is_unread = self.read.get(number).is_none_or(|read| read > sync);
                push.covered && push.put < *sync && previous.is_none_or(|previous| push.put > previous) && is_unread
            })
        };
        self.syncs.iter().enumerate().filter(|sync| !is_needed(*sync)).count()
    }
}
