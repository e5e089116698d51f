//! Which reactor owns a connection: all connections of a user, or of a login request, are on one reactor. No I/O.

use uuid::Uuid;

/// Returns the number of the reactor that owns the connections of a user or of a login request.
pub(super) fn shard_for(id: Uuid, reactors: usize) -> usize {
    // Ids are random, but not in every bit: the multiplication brings all of them to the top.
    let (high, low) = id.as_u64_pair();
    let mixed = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((u128::from(mixed) * reactors as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shard_for_spreads_users_evenly_over_reactors() {
        let mut counts = [0; 4];
        for number in 0..4000u128 {
            counts[shard_for(Uuid::from_u128(number << 64 | 0x4000_8000_0000 | number << 3), 4)] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_eq!(shard_for(Uuid::max(), 1), 0);
    }
}
