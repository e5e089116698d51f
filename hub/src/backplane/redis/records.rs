//! The records in Redis, by which every replica knows what clients missed (`decisions.md` 5): keys, values and scripts. No I/O.
//!
//! ```text
//! {PREFIX:catch-up}:RUN:began                the start of the records, and the number of keys that were evicted before
//! {PREFIX:catch-up}:RUN:user:USER            the last covered pushes to a user
//! {PREFIX:catch-up}:RUN:organization:ID      the last covered pushes to an organization
//! {PREFIX:catch-up}:RUN:device:USER:DIGEST   the time up to which a device has received every push
//! {PREFIX:catch-up}:response:REQUEST         the response to a login request, as it was published
//! ```
//!
//! What is in braces is the hash tag of Redis Cluster, by which one node has all keys. All times are of Redis' clock. `RUN` is the run id of a Redis process. After a restart or a failover the id is another one,
//! because the last records may be lost: nothing is known then. The same holds if Redis has evicted keys since the start.

use std::num::NonZeroU64;
use std::time::Duration;

use uuid::Uuid;

use crate::catch_up::{LastPushes, Timestamp};
use crate::delivery::Audience;
use crate::notification::Device;

/// The time for which the response to a login request is stored.
pub const LOGIN_RESPONSE_TTL: Duration = Duration::from_secs(120);

/// The number of characters of a run id that are used in keys.
const RUN_ID_PREFIX_LENGTH: usize = 12;

/// Publishes a covered push and records it, atomically. Appends the time to the last item of the push.
///
/// `KEYS`: the record. `ARGV`: the channel, the push, the device that caused it, the lifetime of the record in milliseconds.
pub const PUSH_SCRIPT: &str = "\
local time = redis.call('TIME')
local now = time[1] .. string.format('%06d', time[2])
local last, by, other = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+) (%d+)$')
if not last then other = '0' elseif by ~= ARGV[3] then other = last end
redis.call('SET', KEYS[1], now .. ' ' .. ARGV[3] .. ' ' .. other, 'PX', ARGV[4])
local stamped = string.sub(ARGV[2], 1, -18) .. '\\24' .. string.sub(ARGV[2], -16)
return redis.call('PUBLISH', ARGV[1], stamped .. struct.pack('>I4I4', tonumber(time[1]), tonumber(time[2])))";

/// Records the time up to which a device has received every push. Keeps a later time, and renews the lifetime of the record.
///
/// `KEYS`: the record. `ARGV`: the time, the lifetime of the record in milliseconds.
pub const RECEIVED_SCRIPT: &str = "\
local known = redis.call('GET', KEYS[1])
local more = known and tonumber(known) > tonumber(ARGV[1])
redis.call('SET', KEYS[1], more and known or ARGV[1], 'PX', ARGV[2])";

/// The keys and settings of the records of one deployment.
#[derive(Debug, Clone)]
pub struct RecordKeys {
    prefix: String,
    /// The lifetime of the records of pushes and devices.
    pub window: Duration,
    /// `true` if pushes and devices are recorded. Responses to login requests are always stored.
    pub enabled: bool,
    /// The time after the start of the records within which other replicas may still record pushes at a former master. The
    /// progress of devices before the end of this time is ignored.
    pub failover_grace: Duration,
}

/// The keys of the records in one run of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKeys(String);

/// The start of the records of a run. Every later push is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsStart {
    /// The time of the start.
    pub at: Timestamp,
    /// The number of keys that Redis had evicted before. If it has evicted further keys, records may be missing.
    pub evicted: u64,
}

impl RecordsStart {
    /// Parses the value of [`RunKeys::start_key`], or returns `None` if it is malformed.
    pub fn read(value: &str) -> Option<RecordsStart> {
        let (at, evicted) = value.split_once(' ')?;
        Some(RecordsStart { at: parse_timestamp(at)?, evicted: evicted.parse().ok()? })
    }

    /// Returns the value for [`RunKeys::start_key`].
    pub fn write(self) -> String {
        format!("{} {}", self.at.0, self.evicted)
    }
}

/// Returns the number of evicted keys in the result of `INFO`, or `None` if it is missing.
pub fn parse_evicted_keys(info: &str) -> Option<u64> {
    info_field(info, "evicted_keys:")?.parse().ok()
}

/// Returns `true` if Redis may evict keys, according to the result of `INFO`.
pub fn may_evict(info: &str) -> bool {
    info_field(info, "maxmemory:") != Some("0") && info_field(info, "maxmemory_policy:") != Some("noeviction")
}

fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    Some(info.lines().find_map(|line| line.strip_prefix(name))?.trim())
}

impl RecordKeys {
    /// Creates the keys of the deployment with a channel prefix, for a master that does not change.
    pub fn new(prefix: &str, window: Duration, enabled: bool) -> RecordKeys {
        let prefix = format!("{{{prefix}:catch-up}}:");
        RecordKeys { prefix, window, enabled, failover_grace: Duration::ZERO }
    }

    /// Returns the keys of the run in the result of `INFO`, or `None` if the run id is missing.
    pub fn run(&self, info: &str) -> Option<RunKeys> {
        let id = info_field(info, "run_id:")?;
        id.get(..RUN_ID_PREFIX_LENGTH).map(|id| RunKeys(format!("{}{id}:", self.prefix)))
    }

    /// Returns the key of the response to a login request.
    pub fn response_key(&self, request: Uuid) -> String {
        format!("{}response:{request}", self.prefix)
    }
}

impl RunKeys {
    /// Returns the key of the start of the records. Its value is a [`RecordsStart`].
    pub fn start_key(&self) -> String {
        format!("{}began", self.0)
    }

    /// Returns the key of the last covered pushes to an audience, or `None` unless it is a user or an organization.
    pub fn pushes_key(&self, audience: Audience) -> Option<String> {
        match audience {
            Audience::User(user, _) => Some(self.user_key(user)),
            Audience::Organization(organization, _) => Some(self.organization_key(organization)),
            Audience::None | Audience::Installation(..) | Audience::LoginRequest(_) | Audience::All(_) => None,
        }
    }

    /// Returns the key of the last covered pushes to a user.
    pub fn user_key(&self, user: Uuid) -> String {
        format!("{}user:{user}", self.0)
    }

    /// Returns the key of the last covered pushes to an organization.
    pub fn organization_key(&self, organization: Uuid) -> String {
        format!("{}organization:{organization}", self.0)
    }

    /// Returns the key of the time up to which a device has received every push.
    pub fn device_key(&self, user: Uuid, device: Device) -> String {
        format!("{}device:{user}:{}", self.0, device_field(Some(device)))
    }
}

/// Returns a lifetime in milliseconds, at least one, as Redis requires.
pub fn milliseconds(lifetime: Duration) -> u64 {
    u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Returns the device that caused a push in the form of the records.
pub fn device_field(device: Option<Device>) -> String {
    device.map_or("-".to_owned(), |device| format!("{:x}", device.digest()))
}

/// Parses the record of the last covered pushes, or returns `None` if it is malformed.
pub fn parse_pushes(value: &str) -> Option<LastPushes> {
    let mut parts = value.split(' ');
    let (last, by, other) = (parse_timestamp(parts.next()?)?, parts.next()?, parse_timestamp(parts.next()?)?);
    let digest = || NonZeroU64::new(u64::from_str_radix(by, 16).ok()?);
    let by = if by == "-" { None } else { Some(Device::from_digest(digest()?)) };
    parts.next().is_none().then_some(LastPushes {
        last,
        origin_device: by,
        last_from_other: Some(other).filter(|other| other.0 > 0),
    })
}

/// Parses a recorded time, or returns `None` if it is malformed.
pub fn parse_timestamp(value: &str) -> Option<Timestamp> {
    value.parse().ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_of_redis_prefixes_the_keys() {
        let records = RecordKeys::new("Notifications", Duration::from_secs(600), true);
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef\r\ntcp_port:6379\r\n";
        let run = records.run(info).expect("a run");
        assert_eq!(run.start_key(), "{Notifications:catch-up}:0123456789ab:began");
        assert_eq!(
            run.device_key(Uuid::nil(), Device::from_digest(NonZeroU64::MAX)),
            "{Notifications:catch-up}:0123456789ab:device:00000000-0000-0000-0000-000000000000:ffffffffffffffff"
        );
        assert_eq!(run.pushes_key(Audience::LoginRequest(Uuid::nil())), None);
        for odd in ["", "run_id:", "run_id:short", "redis_version:7"] {
            assert_eq!(records.run(odd), None, "{odd}");
        }
    }

    #[test]
    fn records_start_and_eviction_info_are_parsed() {
        let began = RecordsStart { at: Timestamp(7), evicted: 3 };
        assert_eq!(
            (RecordsStart::read(&began.write()), RecordsStart::read("7"), RecordsStart::read("x 3")),
            (Some(began), None, None)
        );
        let info = "maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\nevicted_keys:12\r\n";
        assert_eq!((parse_evicted_keys(info), may_evict(info)), (Some(12), true));
        for safe in ["maxmemory:0\r\nmaxmemory_policy:allkeys-lru", "maxmemory:100\r\nmaxmemory_policy:noeviction"] {
            assert!(!may_evict(safe), "{safe}");
        }
    }

    #[test]
    fn last_pushes_record_of_the_script_is_parsed() {
        let device = Device::from_id("a device");
        let read = |by: &str, other: &str| parse_pushes(&format!("1700000000123456 {by} {other}"));
        let last = Timestamp(1_700_000_000_123_456);
        assert_eq!(read("-", "0"), Some(LastPushes { last, origin_device: None, last_from_other: None }));
        let expected = LastPushes { last, origin_device: Some(device), last_from_other: Some(Timestamp(7)) };
        assert_eq!(read(&device_field(Some(device)), "7"), Some(expected));
        for odd in ["", "1", "1 -", "1 - x", "x - 1", "1 g 1", "1 0 1", "1 - 1 1", "1  - 1"] {
            assert_eq!(parse_pushes(odd), None, "{odd}");
        }
    }
}
