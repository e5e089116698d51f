//! The pushes and syncs that one device has read, and when it was connected.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

/// The maximum duration of a delivery to a connected client, on a busy machine.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(3);

/// The record of one device.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// When it first read each push, by the number of the push.
    read: HashMap<usize, Instant>,
    /// The number of pushes that it has read twice on one connection. On two connections a duplicate is allowed.
    pub(super) duplicates: usize,
    /// When it read each `SyncVault`.
    pub(super) syncs: Vec<Instant>,
    /// When the reading of each ended connection began and ended.
    pub(super) connections: Vec<(Instant, Instant)>,
}

/// A push that was sent to a hub.
pub(super) struct SentPush {
    pub(super) sent_at: Instant,
    /// Whether a sync makes up for it.
    pub(super) covered: bool,
    /// The number of its user, or `None` if it is for the organization.
    pub(super) user: Option<usize>,
    /// The device of that user that caused it, or `None` if no device did.
    pub(super) by: Option<usize>,
}

/// The outcome of a push for one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    Read,
    /// Not read, but covered by a later sync.
    Covered,
    /// Covered by its type, but neither read nor followed by a sync.
    Lost,
    /// Of an uncovered type, and not read by a device that was not connected all the time.
    Away,
    /// Of an uncovered type, and not read by a device that was connected all the time.
    Missed,
}

/// Returns the id in the payload of a push.
pub(super) fn push_id(number: usize) -> String {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | number as u128).to_string()
}

impl Device {
    /// Records a message. Returns the number of its push, or `None` if it is none of this run.
    pub(super) fn record_message(&mut self, text: &str) -> Option<usize> {
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

    /// Returns the outcome of a push that is for this device.
    pub(super) fn outcome(&self, number: usize, push: &SentPush) -> DeliveryOutcome {
        let was_connected =
            || self.connections.iter().any(|(from, to)| *from < push.sent_at && push.sent_at + DELIVERY_TIMEOUT < *to);
        match push.covered {
            _ if self.read.contains_key(&number) => DeliveryOutcome::Read,
            true if self.syncs.last().is_some_and(|sync| *sync > push.sent_at) => DeliveryOutcome::Covered,
            true => DeliveryOutcome::Lost,
            false if was_connected() => DeliveryOutcome::Missed,
            false => DeliveryOutcome::Away,
        }
    }

    /// Returns the number of syncs that covered no push, because each earlier push was read or covered by an earlier sync.
    /// `pushes` are those for this device, with their numbers.
    pub(super) fn needless_syncs(&self, pushes: &[(usize, &SentPush)]) -> usize {
        let is_needed = |(index, sync): (usize, &Instant)| {
            let previous = index.checked_sub(1).map(|index| self.syncs[index]);
            pushes.iter().any(|(number, push)| {
                let is_unread = self.read.get(number).is_none_or(|read| read > sync);
                push.covered
                    && push.sent_at < *sync
                    && previous.is_none_or(|previous| push.sent_at > previous)
                    && is_unread
            })
        };
        self.syncs.iter().enumerate().filter(|sync| !is_needed(*sync)).count()
    }
}
