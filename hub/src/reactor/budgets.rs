//! Bounds of the bytes that many entries hold together. No I/O.

use crate::signalr::Tick;

/// An entry that holds bytes: its age, its slot and its bytes.
pub(super) type Holder = (Tick, u32, usize);

/// An upper bound of the bytes that all entries hold. What an entry gives back is not subtracted: all entries are counted anew when
/// the bound is reached.
#[derive(Debug)]
pub(super) struct ByteBudget {
    used: usize,
    max: usize,
}

impl ByteBudget {
    /// Creates a budget of which nothing is used.
    pub(super) fn new(max: usize) -> ByteBudget {
        ByteBudget { used: 0, max }
    }

    /// Adds bytes. Returns the slots to close because all entries together hold too much, oldest first; most often none.
    pub(super) fn add(&mut self, bytes: usize, holders: impl FnOnce() -> Vec<Holder>) -> Vec<u32> {
        self.used += bytes;
        if self.used <= self.max {
            return Vec::new();
        }
        let (oldest, left) = oldest_above(holders(), self.max);
        self.used = left;
        oldest
    }
}

/// Returns the slots to close, oldest first, so that at most three quarters of `max_bytes` are left, and the bytes that are left.
/// Returns no slots if all are within `max_bytes`.
fn oldest_above(mut all: Vec<Holder>, max_bytes: usize) -> (Vec<u32>, usize) {
    let mut left: usize = all.iter().map(|(.., bytes)| bytes).sum();
    let mut oldest = Vec::new();
    if left > max_bytes {
        all.sort_unstable();
        for (_, slot, bytes) in all {
            if left <= max_bytes / 4 * 3 {
                break;
            }
            left -= bytes;
            oldest.push(slot);
        }
    }
    (oldest, left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn add_above_the_maximum_returns_the_oldest_down_to_three_quarters() {
        let all = |bytes| vec![(Tick(3), 30, bytes), (Tick(1), 10, bytes), (Tick(2), 20, bytes), (Tick(4), 40, bytes)];
        let mut budget = ByteBudget::new(100);
        let none: [u32; 0] = [];
        assert_eq!(budget.add(100, || unreachable!("there is room")), none);
        assert_eq!(budget.add(1, || all(26)), [10, 20]);
        assert_eq!(budget.used, 52);
        assert_eq!(budget.add(4000, || all(1000)), [10, 20, 30, 40]);
        assert_eq!(budget.add(101, || all(25)), none, "entries have given bytes back");
        assert_eq!(budget.used, 100);
    }
}
