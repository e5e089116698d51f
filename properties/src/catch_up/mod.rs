//! Checks that catch-up loses no covered push, in any order of events.
//!
//! The [`World`] has one user with three devices, and one or two replicas with one reactor each. A push is written at once or in
//! parts. Sockets fill up, clients read late, and connections end cleanly or are cut. With two replicas, everything that passes
//! through Redis is delayed. At the end every device reconnects and stays. By then it has read each push of another device, or a
//! `SyncVault` that was written after that push was accepted. No I/O.

mod redis;
mod replica;
mod world;

use std::time::Duration;

use notification_hub::catch_up::Timestamp;
use notification_hub::delivery::Audience;
use notification_hub::notification::{ClientType, Device};
use notification_hub::signalr::Tick;
use uuid::Uuid;

use self::world::World;
use crate::choices::Choices;

const USER: Uuid = Uuid::from_u128(1);
const AUDIENCE: Audience = Audience::User(USER, ClientType::All);
const DEVICE_COUNT: u8 = 3;

/// A client that sends something has read every frame that was written at least this long before.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(3);

/// The time that records are kept: longer than any run.
const RECORD_TTL: Duration = Duration::from_secs(1 << 16);

/// A start after the first `RECORD_TTL`, when the records are complete.
const LATE_START: Tick = Tick(1 << 20);

/// The maximum number of events before every device reconnects.
const MAX_STEPS: usize = 400;

/// Panics if a covered push is lost.
pub(crate) fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let start = if choices.below(2) == 1 { LATE_START } else { Tick(0) };
    let mut world = World::new(choices.below(2) == 1, start);
    for _ in 0..MAX_STEPS {
        if choices.0.is_empty() {
            break;
        }
        world.step(&mut choices);
    }
    world.reconnect_all();
    world.assert_nothing_lost();
}

fn device(number: u8) -> Device {
    Device::from_id(&number.to_string())
}

fn timestamp(now: Tick) -> Timestamp {
    Timestamp::default().after(Tick::LENGTH * now.0)
}
