//! A map that drops entries some time after they were last put, and the oldest when it is full. Part of the records of one
//! reactor, on its thread. No I/O.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;

use super::Timestamp;

/// Values by key, each with the moment at which it was last put. Memory is bounded by `capacity` entries.
pub(super) struct TtlMap<K, V> {
    entries: HashMap<K, (Timestamp, V)>,
    /// Every key once, with the moment of a put: one that was put again goes to the back when it reaches the front.
    queue: VecDeque<(Timestamp, K)>,
    window: Duration,
    capacity: usize,
    /// The moment of the newest put whose entry was dropped for lack of room.
    dropped_until: Option<Timestamp>,
}

impl<K: Eq + Hash + Copy, V> TtlMap<K, V> {
    pub(super) fn new(window: Duration, capacity: usize) -> TtlMap<K, V> {
        TtlMap { entries: HashMap::default(), queue: VecDeque::new(), window, capacity, dropped_until: None }
    }

    /// Returns whether an entry that was put after `since`, and is not too old, was dropped for lack of room. `None` stands for
    /// the beginning of time.
    pub(super) fn has_dropped(&self, since: Option<Timestamp>, now: Timestamp) -> bool {
        self.dropped_until
            .is_some_and(|until| until >= now.before(self.window) && since.is_none_or(|since| until > since))
    }

    /// Returns the value of a key, or `None` if there is none or it is too old.
    pub(super) fn get(&self, key: K, now: Timestamp) -> Option<&V> {
        let (put, value) = self.entries.get(&key)?;
        (*put >= now.before(self.window)).then_some(value)
    }

    /// Changes the value of a key, which begins with `V::default()`. Returns how many others were dropped for lack of room.
    pub(super) fn upsert(&mut self, key: K, now: Timestamp, change: impl FnOnce(&mut V)) -> usize
    where
        V: Default,
    {
        if let Some((put, value)) = self.entries.get_mut(&key) {
            *put = now;
            change(value);
            return 0;
        }
        let evicted = self.evict(now);
        let mut value = V::default();
        change(&mut value);
        self.entries.insert(key, (now, value));
        self.queue.push_back((now, key));
        evicted
    }

    /// Drops what is too old, and the oldest if there is no room for another. Returns how many of the latter.
    fn evict(&mut self, now: Timestamp) -> usize {
        let horizon = now.before(self.window);
        let mut evicted = 0;
        while let Some((queued, key)) = self.queue.front().copied() {
            let full = self.entries.len() >= self.capacity;
            if queued >= horizon && !full {
                break;
            }
            self.queue.pop_front();
            match self.entries.get(&key) {
                Some((put, _)) if *put != queued && *put >= horizon => self.queue.push_back((*put, key)),
                _ => {
                    let put = self.entries.remove(&key).map_or(queued, |(put, _)| put);
                    if put >= horizon {
                        evicted += 1;
                        self.dropped_until = self.dropped_until.max(Some(put));
                    }
                }
            }
        }
        evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(100);

    #[test]
    fn get_after_the_window_returns_none() {
        let mut map: TtlMap<u8, u32> = TtlMap::new(WINDOW, 10);
        map.upsert(1, Timestamp(0), |value| *value += 1);
        map.upsert(2, Timestamp(50), |value| *value += 1);
        map.upsert(1, Timestamp(60), |value| *value += 1);
        assert_eq!(map.get(1, Timestamp(160)), Some(&2));
        assert_eq!(map.get(2, Timestamp(151)), None);
        assert_eq!(map.upsert(3, Timestamp(155), |_| ()), 0, "what is too old anyway does not count");
        assert!(map.entries.contains_key(&1) && !map.entries.contains_key(&2));
        map.upsert(4, Timestamp(400), |_| ());
        assert_eq!((map.entries.len(), map.queue.len()), (1, 1));
    }

    #[test]
    fn put_into_full_map_drops_and_reports_the_oldest() {
        let mut map: TtlMap<u8, u32> = TtlMap::new(WINDOW, 2);
        map.upsert(1, Timestamp(1), |_| ());
        map.upsert(2, Timestamp(2), |_| ());
        map.upsert(1, Timestamp(3), |_| ());
        assert_eq!(map.upsert(3, Timestamp(4), |_| ()), 1);
        assert!(map.get(2, Timestamp(4)).is_none() && map.get(1, Timestamp(4)).is_some());
        assert!(map.has_dropped(None, Timestamp(4)) && map.has_dropped(Some(Timestamp(1)), Timestamp(102)));
        assert!(!map.has_dropped(Some(Timestamp(2)), Timestamp(4)) && !map.has_dropped(None, Timestamp(103)));
    }

    #[test]
    fn put_of_same_key_does_not_grow_map() {
        let mut map: TtlMap<u8, u32> = TtlMap::new(Duration::from_secs(3600), 10);
        for timestamp in 0..10_000 {
            map.upsert((timestamp % 3) as u8, Timestamp(timestamp), |_| ());
        }
        assert_eq!((map.entries.len(), map.queue.len()), (3, 3));
    }
}
