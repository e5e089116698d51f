//! A map that forgets what has not been touched for a while, and the oldest when it is full. Pure.

use std::collections::VecDeque;
use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;

use super::Moment;

/// Values by key, each with the moment at which it was last put.
pub(super) struct Recent<K, V> {
    entries: HashMap<K, (Moment, V)>,
    /// Every key once, with the moment of a put: if it was put again since, it has another round before it.
    queue: VecDeque<(Moment, K)>,
    window: Duration,
    most: usize,
}

impl<K: Eq + Hash + Copy, V> Recent<K, V> {
    pub(super) fn new(window: Duration, most: usize) -> Recent<K, V> {
        Recent { entries: HashMap::default(), queue: VecDeque::new(), window, most }
    }

    /// The value of a key, unless it is too old.
    pub(super) fn get(&self, key: K, now: Moment) -> Option<&V> {
        let (put, value) = self.entries.get(&key)?;
        (*put >= now.before(self.window)).then_some(value)
    }

    /// Changes the value of a key, which begins with `V::default()`; gives how many others were forgotten for it.
    pub(super) fn put(&mut self, key: K, now: Moment, change: impl FnOnce(&mut V)) -> usize
    where
        V: Default,
    {
        if let Some((put, value)) = self.entries.get_mut(&key) {
            *put = now;
            change(value);
            return 0;
        }
        let forgotten = self.forget(now);
        let mut value = V::default();
        change(&mut value);
        self.entries.insert(key, (now, value));
        self.queue.push_back((now, key));
        forgotten
    }

    /// Drops what is too old, and the oldest if there is no room for another; gives how many of the latter.
    fn forget(&mut self, now: Moment) -> usize {
        let horizon = now.before(self.window);
        let mut forgotten = 0;
        while let Some((queued, key)) = self.queue.front().copied() {
            let full = self.entries.len() >= self.most;
            if queued >= horizon && !full {
                break;
            }
            self.queue.pop_front();
            match self.entries.get(&key) {
                Some((put, _)) if *put != queued && *put >= horizon => self.queue.push_back((*put, key)),
                _ => {
                    self.entries.remove(&key);
                    forgotten += usize::from(queued >= horizon);
                }
            }
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_micros(100);

    #[test]
    fn what_is_old_is_forgotten() {
        let mut recent: Recent<u8, u32> = Recent::new(WINDOW, 10);
        recent.put(1, Moment(0), |value| *value += 1);
        recent.put(2, Moment(50), |value| *value += 1);
        recent.put(1, Moment(60), |value| *value += 1);
        assert_eq!(recent.get(1, Moment(160)), Some(&2));
        assert_eq!(recent.get(2, Moment(151)), None);
        assert_eq!(recent.put(3, Moment(155), |_| ()), 0, "what is too old anyway does not count");
        assert!(recent.entries.contains_key(&1) && !recent.entries.contains_key(&2));
        recent.put(4, Moment(400), |_| ());
        assert_eq!((recent.entries.len(), recent.queue.len()), (1, 1));
    }

    #[test]
    fn a_full_map_forgets_the_oldest_and_says_so() {
        let mut recent: Recent<u8, u32> = Recent::new(WINDOW, 2);
        recent.put(1, Moment(1), |_| ());
        recent.put(2, Moment(2), |_| ());
        recent.put(1, Moment(3), |_| ());
        assert_eq!(recent.put(3, Moment(4), |_| ()), 1);
        assert!(recent.get(2, Moment(4)).is_none() && recent.get(1, Moment(4)).is_some());
    }

    #[test]
    fn a_busy_key_takes_no_more_room_than_others() {
        let mut recent: Recent<u8, u32> = Recent::new(Duration::from_secs(3600), 10);
        for moment in 0..10_000 {
            recent.put((moment % 3) as u8, Moment(moment), |_| ());
        }
        assert_eq!((recent.entries.len(), recent.queue.len()), (3, 3));
    }
}
