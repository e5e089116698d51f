//! What one process remembers: the last covered pushes of users and organisations, and when devices were last heard. Pure.

use std::time::Duration;

use uuid::Uuid;

use super::recent::Recent;
use super::{Moment, Newcomer, Pushes, Reason};
use crate::delivery::Audience;
use crate::notification::Device;

/// Remembers for a window, in bounded room.
pub struct Memory {
    users: Recent<Uuid, Pushes>,
    organizations: Recent<Uuid, Pushes>,
    devices: Recent<(Uuid, Device), Moment>,
    window: Duration,
}

impl Memory {
    /// A memory that has just begun, of so many users and so many devices.
    pub fn new(window: Duration, most: usize) -> Memory {
        Memory {
            users: Recent::new(window, most),
            organizations: Recent::new(window, most),
            devices: Recent::new(window, most),
            window,
        }
    }

    /// Notes a push of a covered type; gives how many records were dropped for it.
    pub fn pushed(&mut self, audience: Audience, by: Option<Device>, now: Moment) -> usize {
        let note = |pushes: &mut Pushes| pushes.note(by, now);
        match audience {
            Audience::User(user, _) => self.users.put(user, now, note),
            Audience::Organization(organization, _) => self.organizations.put(organization, now, note),
            Audience::Nobody | Audience::Installation(..) | Audience::LoginRequest(_) | Audience::Everyone(_) => 0,
        }
    }

    /// Notes when a device that has gone was last heard; gives how many records were dropped for it.
    pub fn left(&mut self, user: Uuid, device: Device, heard: Moment, now: Moment) -> usize {
        // Of several connections of one device the latest counts.
        self.devices.put((user, device), now, |last| *last = heard.max(*last))
    }

    /// Whether a client that has just connected missed something.
    pub fn missed(&self, newcomer: &Newcomer<'_>, now: Moment) -> Option<Reason> {
        let known = newcomer.device.and_then(|device| self.devices.get((newcomer.user, device), now).copied());
        let heard = known.max(newcomer.heard);
        let user = self.users.get(newcomer.user, now);
        let organizations = newcomer.organizations.iter().filter_map(|id| self.organizations.get(*id, now));
        let unknown_before = now < Moment::default().after(self.window);
        Reason::of(newcomer.device, heard, user.into_iter().chain(organizations), unknown_before)
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
    /// Behind the first window, in which nothing is known of what was before.
    const START: u64 = 5000;

    fn device(name: &str) -> Device {
        Device::of(name)
    }

    fn missed(memory: &Memory, name: Option<&str>, at: u64) -> Option<Reason> {
        let organizations = [ORGANIZATION];
        let device = name.map(Device::of);
        memory.missed(&Newcomer { user: USER, organizations: &organizations, device, heard: None }, Moment(START + at))
    }

    fn left(memory: &mut Memory, name: &str, at: u64) {
        memory.left(USER, device(name), Moment(START + at), Moment(START + at));
    }

    fn pushed(memory: &mut Memory, audience: Audience, by: Option<&str>, at: u64) {
        memory.pushed(audience, by.map(Device::of), Moment(START + at));
    }

    #[test]
    fn who_was_away_during_a_push_missed_it() {
        let mut memory = Memory::new(WINDOW, 10);
        left(&mut memory, "a", 10);
        assert_eq!(missed(&memory, Some("a"), 20), None);
        pushed(&mut memory, TO_USER, None, 30);
        assert_eq!(missed(&memory, Some("a"), 40), Some(Reason::Missed));
        left(&mut memory, "a", 50);
        assert_eq!(missed(&memory, Some("a"), 60), None);
        pushed(&mut memory, TO_ORGANIZATION, None, 70);
        assert_eq!(missed(&memory, Some("a"), 80), Some(Reason::Missed));
        assert_eq!(missed(&memory, Some("a"), 1100), None, "too long ago: nothing is remembered");
    }

    #[test]
    fn own_pushes_do_not_count_but_those_of_others_before_them_do() {
        let mut memory = Memory::new(WINDOW, 10);
        left(&mut memory, "a", 10);
        left(&mut memory, "b", 10);
        pushed(&mut memory, TO_USER, Some("a"), 20);
        assert_eq!(missed(&memory, Some("a"), 30), None);
        assert_eq!(missed(&memory, Some("b"), 30), Some(Reason::Missed));
        pushed(&mut memory, TO_USER, Some("b"), 40);
        pushed(&mut memory, TO_USER, Some("b"), 41);
        assert_eq!(missed(&memory, Some("b"), 50), Some(Reason::Missed), "the one of a");
        left(&mut memory, "b", 60);
        pushed(&mut memory, TO_USER, Some("b"), 61);
        assert_eq!(missed(&memory, Some("b"), 70), None);
    }

    #[test]
    fn a_device_that_is_not_known_counts_as_away() {
        let mut memory = Memory::new(WINDOW, 10);
        assert_eq!(missed(&memory, Some("a"), 0), None);
        assert_eq!(missed(&memory, None, 0), None);
        pushed(&mut memory, TO_USER, Some("a"), 10);
        assert_eq!(missed(&memory, Some("b"), 20), Some(Reason::UnknownDevice));
        assert_eq!(missed(&memory, None, 20), Some(Reason::UnknownDevice));
        assert_eq!(missed(&memory, Some("a"), 20), None, "nobody but itself");
    }

    #[test]
    fn after_a_start_every_device_may_have_missed_something() {
        let mut memory = Memory::new(WINDOW, 10);
        let missed = |memory: &Memory, heard, at| {
            let newcomer = Newcomer { user: USER, organizations: &[], device: Some(device("a")), heard };
            memory.missed(&newcomer, Moment(at))
        };
        assert_eq!(missed(&memory, None, 999), Some(Reason::Restart));
        assert_eq!(missed(&memory, Some(Moment(5)), 999), None, "it is here already");
        assert_eq!(missed(&memory, None, 1000), None);
        memory.left(USER, device("a"), Moment(10), Moment(10));
        assert_eq!(missed(&memory, None, 20), None, "not the first time");
    }
}
