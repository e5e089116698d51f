//! What is kept in Redis, so that every replica knows which clients missed what (`decisions.md` 5): names, values and scripts.
//! No I/O.
//!
//! ```text
//! PREFIX:catch-up:RUN:began                  when these records begin, and how many keys Redis had evicted by then
//! PREFIX:catch-up:RUN:user:USER              the last covered pushes of a user
//! PREFIX:catch-up:RUN:organization:ID        of an organization
//! PREFIX:catch-up:RUN:device:USER:DIGEST     up to when a device has surely received every push
//! PREFIX:catch-up:response:REQUEST           the answer to a login request, as it was published
//! ```
//!
//! All moments are of Redis' clock. `RUN` is the id that a Redis has from its start: one that was restarted or has taken over
//! from another knows nothing, whatever it has kept, for it may not have kept the last. The same holds for one that has evicted
//! keys since the records began.

use std::num::NonZeroU64;
use std::time::Duration;

use uuid::Uuid;

use crate::catch_up::{LastPushes, Timestamp};
use crate::delivery::Audience;
use crate::notification::Device;

/// How long the answer to a login request waits for its client.
pub const LOGIN_RESPONSE_TTL: Duration = Duration::from_secs(120);

/// How many letters of a run's id tell it from others.
const RUN_ID_PREFIX_LENGTH: usize = 12;

/// Publishes a covered push and notes it, at one moment, which it appends to the push's last item.
///
/// `KEYS`: the record. `ARGV`: the channel, the push, who caused it, for how many milliseconds to remember.
pub const PUSH_SCRIPT: &str = "\
local time = redis.call('TIME')
local now = time[1] .. string.format('%06d', time[2])
local last, by, other = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%S+) (%d+)$')
if not last then other = '0' elseif by ~= ARGV[3] then other = last end
redis.call('SET', KEYS[1], now .. ' ' .. ARGV[3] .. ' ' .. other, 'PX', ARGV[4])
local stamped = string.sub(ARGV[2], 1, -18) .. '\\24' .. string.sub(ARGV[2], -16)
return redis.call('PUBLISH', ARGV[1], stamped .. struct.pack('>I4I4', tonumber(time[1]), tonumber(time[2])))";

/// Notes up to when a device has surely received every push, unless more is noted already, and remembers that anew.
///
/// `KEYS`: the record. `ARGV`: the moment, for how many milliseconds to remember.
pub const RECEIVED_SCRIPT: &str = "\
local known = redis.call('GET', KEYS[1])
local more = known and tonumber(known) > tonumber(ARGV[1])
redis.call('SET', KEYS[1], more and known or ARGV[1], 'PX', ARGV[2])";

/// The records of one deployment.
#[derive(Debug, Clone)]
pub struct RecordKeys {
    prefix: String,
    /// How long pushes and devices are remembered.
    pub window: Duration,
    /// Whether they are; the answers to login requests always are.
    pub enabled: bool,
    /// How long after they begin other replicas may still note pushes at a Redis before: what devices received until then does
    /// not count.
    pub failover_grace: Duration,
}

/// The records in one run of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKeys(String);

/// When the records of a run begin: from then on every push is noted in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsStart {
    /// The moment.
    pub at: Timestamp,
    /// How many keys Redis had evicted by then. If it has evicted others since, some of ours may be among them.
    pub evicted: u64,
}

impl RecordsStart {
    /// Reads a value; `None` if it is none.
    pub fn read(value: &str) -> Option<RecordsStart> {
        let (at, evicted) = value.split_once(' ')?;
        Some(RecordsStart { at: parse_timestamp(at)?, evicted: evicted.parse().ok()? })
    }

    /// Writes the value.
    pub fn write(self) -> String {
        format!("{} {}", self.at.0, self.evicted)
    }
}

/// Returns how many keys Redis has evicted, by what `INFO` tells; `None` if that does not say.
pub fn evicted(info: &str) -> Option<u64> {
    field(info, "evicted_keys:")?.parse().ok()
}

/// Returns whether Redis may evict keys, by what `INFO` tells.
pub fn may_evict(info: &str) -> bool {
    field(info, "maxmemory:") != Some("0") && field(info, "maxmemory_policy:") != Some("noeviction")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    Some(info.lines().find_map(|line| line.strip_prefix(name))?.trim())
}

impl RecordKeys {
    /// Of the deployment whose channels have this prefix.
    pub fn new(prefix: &str, window: Duration, enabled: bool, failover_grace: Duration) -> RecordKeys {
        RecordKeys { prefix: format!("{prefix}:catch-up:"), window, enabled, failover_grace }
    }

    /// The records in the run of which `INFO server` tells; nothing if it does not.
    pub fn run(&self, info: &str) -> Option<RunKeys> {
        let id = field(info, "run_id:")?;
        id.get(..RUN_ID_PREFIX_LENGTH).map(|id| RunKeys(format!("{}{id}:", self.prefix)))
    }

    /// Where the answer to a login request is kept.
    pub fn response_key(&self, request: Uuid) -> String {
        format!("{}response:{request}", self.prefix)
    }
}

impl RunKeys {
    /// Where it stands when these records begin, as [`RecordsStart`] reads it.
    pub fn start_key(&self) -> String {
        format!("{}began", self.0)
    }

    /// Where the covered pushes for an audience are noted; for others than users and organisations they are not.
    pub fn pushes_key(&self, audience: Audience) -> Option<String> {
        match audience {
            Audience::User(user, _) => Some(self.user_key(user)),
            Audience::Organization(organization, _) => Some(self.organization_key(organization)),
            Audience::None | Audience::Installation(..) | Audience::LoginRequest(_) | Audience::All(_) => None,
        }
    }

    /// Where those of a user are noted.
    pub fn user_key(&self, user: Uuid) -> String {
        format!("{}user:{user}", self.0)
    }

    /// Where those of an organisation are noted.
    pub fn organization_key(&self, organization: Uuid) -> String {
        format!("{}organization:{organization}", self.0)
    }

    /// Where it stands up to when a device has surely received every push.
    pub fn device_key(&self, user: Uuid, device: Device) -> String {
        format!("{}device:{user}:{}", self.0, device_field(Some(device)))
    }
}

/// How long something is kept, for Redis.
pub fn milliseconds(kept: Duration) -> u64 {
    u64::try_from(kept.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Who caused a push, as it is noted.
pub fn device_field(device: Option<Device>) -> String {
    device.map_or("-".to_owned(), |device| format!("{:x}", device.digest()))
}

/// The pushes that are noted; nothing if these are none.
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

/// A moment that is noted.
pub fn parse_timestamp(value: &str) -> Option<Timestamp> {
    value.parse().ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_id_of_redis_prefixes_the_keys() {
        let records = RecordKeys::new("Notifications", Duration::from_secs(600), true, Duration::ZERO);
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:0123456789abcdef\r\ntcp_port:6379\r\n";
        let run = records.run(info).expect("a run");
        assert_eq!(run.start_key(), "Notifications:catch-up:0123456789ab:began");
        assert_eq!(
            run.device_key(Uuid::nil(), Device::from_digest(NonZeroU64::MAX)),
            "Notifications:catch-up:0123456789ab:device:00000000-0000-0000-0000-000000000000:ffffffffffffffff"
        );
        assert_eq!(run.pushes_key(Audience::LoginRequest(Uuid::nil())), None);
        for odd in ["", "run_id:", "run_id:short", "redis_version:7"] {
            assert_eq!(records.run(odd), None, "{odd}");
        }
    }

    #[test]
    fn began_record_and_eviction_info_are_parsed() {
        let began = RecordsStart { at: Timestamp(7), evicted: 3 };
        assert_eq!(
            (RecordsStart::read(&began.write()), RecordsStart::read("7"), RecordsStart::read("x 3")),
            (Some(began), None, None)
        );
        let info = "maxmemory:100\r\nmaxmemory_policy:allkeys-lru\r\nevicted_keys:12\r\n";
        assert_eq!((evicted(info), may_evict(info)), (Some(12), true));
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
