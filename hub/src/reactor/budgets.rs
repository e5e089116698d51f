//! Which entries to close when all of them together take too many bytes. No I/O.

use crate::signalr::Tick;

/// Returns the slots to close, oldest first, so that at most three quarters of `max_bytes` are left, and the bytes that are left.
/// Returns no slots if all are within `max_bytes`. Each entry is an age, a slot and its bytes.
pub(super) fn oldest_above(mut all: Vec<(Tick, u32, usize)>, max_bytes: usize) -> (Vec<u32>, usize) {
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
    fn oldest_above_cuts_the_oldest_down_to_three_quarters() {
        let all = |bytes| vec![(Tick(3), 30, bytes), (Tick(1), 10, bytes), (Tick(2), 20, bytes), (Tick(4), 40, bytes)];
        assert_eq!(oldest_above(all(25), 100), (vec![], 100), "there is room");
        assert_eq!(oldest_above(all(26), 100), (vec![10, 20], 52));
        assert_eq!(oldest_above(all(1000), 100), (vec![10, 20, 30, 40], 0));
    }
}
