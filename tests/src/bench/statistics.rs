//! Medians and percentiles.

/// Returns the value at a share of all values, by nearest rank, or `None` without values.
pub fn percentile<T: Copy + PartialOrd>(values: &mut [T], share: f64) -> Option<T> {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

/// Returns the median, or `None` without values. Of an even number of values, it is the lower one in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    percentile(&mut values, 0.5)
}

/// Returns the 99th percentile in milliseconds of values in nanoseconds, or `None` without values.
pub fn p99_ms(mut nanoseconds: Vec<u64>) -> Option<f64> {
    percentile(&mut nanoseconds, 0.99).map(|value| value as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let mut hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut hundred, 0.99), Some(99));
        assert_eq!(percentile(&mut hundred, 1.0), Some(100));
        assert_eq!(percentile(&mut hundred, 0.0), Some(1));
        assert_eq!(percentile::<u32>(&mut [], 0.5), None);
        assert_eq!(percentile(&mut [7], 0.99), Some(7));
    }

    #[test]
    fn median_of_even_count_is_a_measured_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(p99_ms(vec![2_500_000]), Some(2.5));
    }
}
