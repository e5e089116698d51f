//! Redis as the replicas see it: a clock, the last pushes and the progress of devices.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use notification_hub::catch_up::{LastPushes, LookupRequest, LookupResult, Records, Timestamp, missed};
use notification_hub::delivery::Audience;
use notification_hub::notification::Device;
use notification_hub::signalr::ConnectionId;
use uuid::Uuid;

/// The progress of devices that `CatchUp` recorded and that is not queued for Redis yet.
pub(super) type RecordedProgress = Arc<Mutex<Vec<(Device, Timestamp)>>>;

/// An operation that a replica has queued for Redis.
pub(super) enum Entry {
    Publish { push: usize },
    Lookup { id: ConnectionId, device: u8, received: Option<Timestamp> },
    Received { device: Device, until: Timestamp },
}

/// The records of a replica with a backplane.
pub(super) struct SharedRecords(pub(super) RecordedProgress);

impl Records for SharedRecords {
    fn on_push(&mut self, _: Audience, _: Option<Device>, _: Timestamp) -> usize {
        0
    }

    fn look_up(&mut self, _: &LookupRequest<'_>, _: Timestamp) -> Option<LookupResult> {
        None
    }

    fn on_received(&mut self, _: Uuid, device: Device, received: Timestamp, _: Timestamp) -> usize {
        self.0.lock().expect("one thread").push((device, received));
        0
    }
}

/// The state of Redis. Its clock gives each push a timestamp of its own.
pub(super) struct Redis {
    clock: u64,
    pushes: LastPushes,
    received: HashMap<Device, Timestamp>,
}

impl Redis {
    pub(super) fn new() -> Redis {
        Redis { clock: 1, pushes: LastPushes::default(), received: HashMap::new() }
    }

    /// Advances the clock and returns its time.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp(self.clock)
    }

    /// Records a push to the user, with the device that caused it, and returns its timestamp.
    pub(super) fn publish(&mut self, by: Option<Device>) -> Timestamp {
        let stamp = self.tick();
        self.pushes.record(by, stamp);
        stamp
    }

    /// Returns what a device missed. `received` is the progress that its replica knows from other connections of the device.
    pub(super) fn look_up(&mut self, device: Device, received: Option<Timestamp>) -> LookupResult {
        let until = self.tick();
        let known = self.received.get(&device).copied().max(received);
        let pushes = Some(&self.pushes).filter(|pushes| pushes.last > Timestamp(0));
        let reason = missed(Some(device), known, pushes.into_iter(), false);
        LookupResult { reason, until }
    }

    /// Records the progress of a device, which never moves backward.
    pub(super) fn record_received(&mut self, device: Device, until: Timestamp) {
        let recorded = self.received.entry(device).or_default();
        *recorded = until.max(*recorded);
    }
}
