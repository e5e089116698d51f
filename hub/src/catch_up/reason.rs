//! Whether a client missed something, by what is remembered of it. Pure.

use uuid::Uuid;

use super::Moment;
use crate::notification::Device;

/// Why a client is sent a `SyncVault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There was a push while its device was away.
    Missed,
    /// There was a push, and nobody knows when its device was last here.
    UnknownDevice,
    /// Nobody knows what there was before the records begin.
    Restart,
    /// The backplane was away, and nobody knows what was not heard.
    BackplaneGap,
}

/// A client that has just connected.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// Its user.
    pub user: Uuid,
    /// Its user's organisations.
    pub organizations: &'a [Uuid],
    /// Its device, if its token tells one.
    pub device: Option<Device>,
    /// When another connection of that device, which is still open, was last heard.
    pub heard: Option<Moment>,
}

/// The pushes to one user or organisation, as far as it matters who caused them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pushes {
    /// When the last one was.
    pub last: Moment,
    /// The device that caused it.
    pub by: Option<Device>,
    /// The last one that was caused by somebody else.
    pub other: Option<Moment>,
}

impl Reason {
    /// The value of `catch_up_total{reason}`.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Missed => "missed",
            Reason::UnknownDevice => "unknown_device",
            Reason::Restart => "restart",
            Reason::BackplaneGap => "backplane_gap",
        }
    }

    /// Why a device that was last heard then missed something, by the pushes to its user and the user's organisations; nothing if
    /// it did not. `unknown_before`: the records begin less than a window ago.
    pub fn of<'a>(
        device: Option<Device>,
        heard: Option<Moment>,
        mut pushes: impl Iterator<Item = &'a Pushes>,
        unknown_before: bool,
    ) -> Option<Reason> {
        if heard.is_none() && unknown_before {
            return Some(Reason::Restart);
        }
        let missed = pushes.any(|pushes| match (device, heard) {
            (Some(device), Some(heard)) => pushes.by_others(device).is_some_and(|push| push > heard),
            (Some(device), None) => pushes.by_others(device).is_some(),
            (None, _) => true,
        });
        missed.then_some(if heard.is_some() { Reason::Missed } else { Reason::UnknownDevice })
    }
}

impl Pushes {
    /// One more, at a moment that is not before the last one's.
    pub fn note(&mut self, by: Option<Device>, now: Moment) {
        if self.by != by && self.last != Moment::default() {
            self.other = Some(self.last);
        }
        (self.last, self.by) = (now, by);
    }

    /// The last push that a device did not cause itself.
    fn by_others(&self, device: Device) -> Option<Moment> {
        if self.by == Some(device) { self.other } else { Some(self.last) }
    }
}
