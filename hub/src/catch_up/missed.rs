//! Whether a device missed a push, by what is remembered of the pushes. No I/O.

use super::Timestamp;
use crate::notification::Device;

/// Why a client is sent a `SyncVault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncReason {
    /// There was a push that its device has not surely received.
    Missed,
    /// There was a push, and it is not known what its device has received.
    UnknownDevice,
    /// It is not known which pushes there were before the records begin.
    Restart,
    /// The backplane was interrupted, and it is not known which pushes it lost.
    BackplaneGap,
}

impl SyncReason {
    /// Returns the value of the label `reason` of `catch_up_syncs_total`.
    pub fn label(self) -> &'static str {
        match self {
            SyncReason::Missed => "missed",
            SyncReason::UnknownDevice => "unknown_device",
            SyncReason::Restart => "restart",
            SyncReason::BackplaneGap => "backplane_gap",
        }
    }
}

/// The last covered pushes to one user or organization, as far as it matters which device caused them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LastPushes {
    /// When the last one was.
    pub last: Timestamp,
    /// The device that caused the last push, `None` if none is named.
    pub origin_device: Option<Device>,
    /// When the last push was that another device than `origin_device` caused.
    pub last_from_other: Option<Timestamp>,
}

impl LastPushes {
    /// Records a push, at a timestamp that is not before the last one's.
    pub fn record(&mut self, by: Option<Device>, now: Timestamp) {
        if self.origin_device != by && self.last != Timestamp::default() {
            self.last_from_other = Some(self.last);
        }
        (self.last, self.origin_device) = (now, by);
    }

    /// Returns when the last push was that a device did not cause itself.
    fn last_not_from(&self, device: Device) -> Option<Timestamp> {
        if self.origin_device == Some(device) { self.last_from_other } else { Some(self.last) }
    }
}

/// Returns why a client has to sync, or `None` if it missed nothing.
///
/// `received` is up to when its device has surely received every push, `None` if that is not known. `pushes` are those to its
/// user and to the user's organizations. `records_incomplete` tells that the records begin less than a window ago.
pub fn missed<'a>(
    device: Option<Device>,
    received: Option<Timestamp>,
    mut pushes: impl Iterator<Item = &'a LastPushes>,
    records_incomplete: bool,
) -> Option<SyncReason> {
    if received.is_none() && records_incomplete {
        return Some(SyncReason::Restart);
    }
    let missed = pushes.any(|pushes| match (device, received) {
        (Some(device), Some(received)) => pushes.last_not_from(device).is_some_and(|push| push > received),
        (Some(device), None) => pushes.last_not_from(device).is_some(),
        (None, _) => true,
    });
    missed.then_some(if received.is_some() { SyncReason::Missed } else { SyncReason::UnknownDevice })
}
