//! What the rule needs to have remembered, wherever that is kept.

use uuid::Uuid;

use super::{SyncReason, Timestamp};
use crate::delivery::Audience;
use crate::notification::Device;

/// A client to look up.
#[derive(Debug, Clone, Copy)]
pub struct LookupRequest<'a> {
    /// Its user.
    pub user: Uuid,
    /// The organizations of its user.
    pub organizations: &'a [Uuid],
    /// Its device, or `None` if its token names none.
    pub device: Option<Device>,
    /// Up to when its device has surely received every push on other connections that are still open here, or `None` if there
    /// is no such connection.
    pub received: Option<Timestamp>,
}

/// The result of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupResult {
    /// Why the client has to sync, or `None` if it missed nothing.
    pub reason: Option<SyncReason>,
    /// Every push up to this timestamp of the stream's clock was taken into account; a sync covers all of them.
    pub until: Timestamp,
}

impl LookupResult {
    /// The result if the records cannot be read.
    pub const UNKNOWN: LookupResult = LookupResult { reason: Some(SyncReason::UnknownDevice), until: Timestamp(0) };
}

/// Remembers the last covered pushes of users and organizations, and up to when devices have surely received every push.
/// Called by one reactor, on its thread.
pub trait Records: Send {
    /// Notes a covered push at a moment of the local clock. Returns how many records were dropped for lack of room.
    fn on_push(&mut self, audience: Audience, by: Option<Device>, now: Timestamp) -> usize;

    /// Looks up what a client missed. `None` if the answer comes later, by [`CatchUp::on_lookup_result`].
    ///
    /// [`CatchUp::on_lookup_result`]: super::CatchUp::on_lookup_result
    fn look_up(&mut self, client: &LookupRequest<'_>, now: Timestamp) -> Option<LookupResult>;

    /// Notes that a device of a user has surely received every push up to a moment of the stream's clock, unless more is known
    /// already. Returns how many records were dropped for lack of room.
    fn on_received(&mut self, user: Uuid, device: Device, received: Timestamp, now: Timestamp) -> usize;
}
