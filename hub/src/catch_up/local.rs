//! The records of a process without a backplane, in its memory. No I/O.

use std::time::Duration;

use uuid::Uuid;

use super::missed::{self, LastPushes};
use super::ttl_map::TtlMap;
use super::{LookupRequest, LookupResult, Records, SyncReason, Timestamp};
use crate::delivery::Audience;
use crate::notification::Device;

/// Records of one reactor: those of the users that live on it, and of every organization. Both clocks are the local one.
pub struct LocalRecords {
    users: TtlMap<Uuid, LastPushes>,
    organizations: TtlMap<Uuid, LastPushes>,
    devices: TtlMap<(Uuid, Device), Timestamp>,
    window: Duration,
}

impl LocalRecords {
    /// Creates empty records that keep at most `capacity` users, organizations and devices each, for a window.
    pub fn new(window: Duration, capacity: usize) -> LocalRecords {
        LocalRecords {
            users: TtlMap::new(window, capacity),
            organizations: TtlMap::new(window, capacity),
            devices: TtlMap::new(window, capacity),
            window,
        }
    }
}

impl Records for LocalRecords {
    fn on_push(&mut self, audience: Audience, by: Option<Device>, now: Timestamp) -> usize {
        let record = |pushes: &mut LastPushes| pushes.record(by, now);
        match audience {
            Audience::User(user, _) => self.users.upsert(user, now, record),
            Audience::Organization(organization, _) => self.organizations.upsert(organization, now, record),
            Audience::None | Audience::Installation(..) | Audience::LoginRequest(_) | Audience::All(_) => 0,
        }
    }

    fn look_up(&mut self, client: &LookupRequest<'_>, now: Timestamp) -> Option<LookupResult> {
        let recorded = client.device.and_then(|device| self.devices.get((client.user, device), now).copied());
        let received = recorded.max(client.received);
        let user = self.users.get(client.user, now);
        let organizations = || client.organizations.iter().map(|id| self.organizations.get(*id, now));
        let records_incomplete = now < Timestamp::default().after(self.window);
        let pushes = user.into_iter().chain(organizations().flatten());
        let reason = missed::missed(client.device, received, pushes, records_incomplete);
        let was_dropped = || {
            (user.is_none() && self.users.has_dropped(received, now))
                || (organizations().any(|pushes| pushes.is_none()) && self.organizations.has_dropped(received, now))
        };
        let reason = reason.or_else(|| was_dropped().then_some(SyncReason::UnknownDevice));
        Some(LookupResult { reason, until: now })
    }

    fn on_received(&mut self, user: Uuid, device: Device, received: Timestamp, now: Timestamp) -> usize {
        // Of several connections of one device the latest counts.
        self.devices.upsert((user, device), now, |last| *last = received.max(*last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notification::ClientType;

    const WINDOW: Duration = Duration::from_micros(1000);
    const USER: Uuid = Uuid::from_u128(1);
    const ORGANIZATION: Uuid = Uuid::from_u128(2);
    const TO_USER: Audience = Audience::User(USER, ClientType::All);
    const TO_ORGANIZATION: Audience = Audience::Organization(ORGANIZATION, ClientType::All);
    /// Behind the first window, in which it is not known what was before.
    const START: u64 = 5000;

    fn missed(records: &mut LocalRecords, name: Option<&str>, at: u64) -> Option<SyncReason> {
        let organizations = [ORGANIZATION];
        let device = name.map(Device::from_id);
        let client = LookupRequest { user: USER, organizations: &organizations, device, received: None };
        records.look_up(&client, Timestamp(START + at)).expect("local records answer at once").reason
    }

    fn received(records: &mut LocalRecords, name: &str, at: u64) {
        records.on_received(USER, Device::from_id(name), Timestamp(START + at), Timestamp(START + at));
    }

    fn pushed(records: &mut LocalRecords, audience: Audience, by: Option<&str>, at: u64) {
        records.on_push(audience, by.map(Device::from_id), Timestamp(START + at));
    }

    #[test]
    fn look_up_push_after_received_is_missed() {
        let mut records = LocalRecords::new(WINDOW, 10);
        received(&mut records, "a", 10);
        assert_eq!(missed(&mut records, Some("a"), 20), None);
        pushed(&mut records, TO_USER, None, 30);
        assert_eq!(missed(&mut records, Some("a"), 40), Some(SyncReason::Missed));
        received(&mut records, "a", 50);
        assert_eq!(missed(&mut records, Some("a"), 60), None);
        pushed(&mut records, TO_ORGANIZATION, None, 70);
        assert_eq!(missed(&mut records, Some("a"), 80), Some(SyncReason::Missed));
        assert_eq!(missed(&mut records, Some("a"), 1100), None, "too long ago: nothing is remembered");
    }

    #[test]
    fn look_up_ignores_only_the_devices_own_pushes() {
        let mut records = LocalRecords::new(WINDOW, 10);
        received(&mut records, "a", 10);
        received(&mut records, "b", 10);
        pushed(&mut records, TO_USER, Some("a"), 20);
        assert_eq!(missed(&mut records, Some("a"), 30), None);
        assert_eq!(missed(&mut records, Some("b"), 30), Some(SyncReason::Missed));
        pushed(&mut records, TO_USER, Some("b"), 40);
        pushed(&mut records, TO_USER, Some("b"), 41);
        assert_eq!(missed(&mut records, Some("b"), 50), Some(SyncReason::Missed), "the one of a");
        received(&mut records, "b", 60);
        pushed(&mut records, TO_USER, Some("b"), 61);
        assert_eq!(missed(&mut records, Some("b"), 70), None);
    }

    #[test]
    fn look_up_of_unknown_device_after_push_requires_sync() {
        let mut records = LocalRecords::new(WINDOW, 10);
        assert_eq!(missed(&mut records, Some("a"), 0), None);
        assert_eq!(missed(&mut records, None, 0), None);
        pushed(&mut records, TO_USER, Some("a"), 10);
        assert_eq!(missed(&mut records, Some("b"), 20), Some(SyncReason::UnknownDevice));
        assert_eq!(missed(&mut records, None, 20), Some(SyncReason::UnknownDevice));
        assert_eq!(missed(&mut records, Some("a"), 20), None, "its own push only");
    }

    #[test]
    fn look_up_after_records_were_evicted_is_unknown_device() {
        let mut records = LocalRecords::new(WINDOW, 1);
        received(&mut records, "a", 10);
        pushed(&mut records, TO_USER, None, 20);
        pushed(&mut records, Audience::User(Uuid::from_u128(3), ClientType::All), None, 30);
        assert_eq!(missed(&mut records, Some("a"), 40), Some(SyncReason::UnknownDevice));
        received(&mut records, "a", 50);
        assert_eq!(missed(&mut records, Some("a"), 60), None, "what was dropped is older than what was received");
    }

    #[test]
    fn look_up_in_first_window_without_received_is_restart() {
        let mut records = LocalRecords::new(WINDOW, 10);
        let mut missed = |received, at| {
            let client = LookupRequest { user: USER, organizations: &[], device: Some(Device::from_id("a")), received };
            records.look_up(&client, Timestamp(at)).expect("local records answer at once").reason
        };
        assert_eq!(missed(None, 999), Some(SyncReason::Restart));
        assert_eq!(missed(Some(Timestamp(5)), 999), None, "it is connected already");
        assert_eq!(missed(None, 1000), None);
        records.on_received(USER, Device::from_id("a"), Timestamp(10), Timestamp(10));
        let client =
            LookupRequest { user: USER, organizations: &[], device: Some(Device::from_id("a")), received: None };
        let answer = records.look_up(&client, Timestamp(20));
        assert_eq!(answer, Some(LookupResult { reason: None, until: Timestamp(20) }), "not the first time");
    }
}
