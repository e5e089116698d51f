//! Durations in the format of the resource, such as `1h30m`. No I/O.

use std::time::Duration;

/// Maximum length of a duration, in bytes, as in the CRD. `kube::core::Duration` panics on numbers that overflow, which
/// are longer.
const MAX_TEXT_BYTES: usize = 16;

/// Maximum duration. Sums of several of these cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(1 << 40);

/// Parses a duration that matches the CRD's pattern: whole numbers, each with the unit `ms`, `s`, `m` or `h`. Returns
/// `None` for any other text.
pub fn parse(text: &str) -> Option<Duration> {
    // Kubernetes' format also has signs, fractions, smaller units and a bare zero.
    let is_plain = text.len() <= MAX_TEXT_BYTES
        && text.ends_with(['h', 'm', 's'])
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"hms".contains(&byte));
    if !is_plain {
        return None;
    }
    let duration: kube::core::Duration = text.parse().ok()?;
    Some(Duration::from(duration)).filter(|duration| *duration <= MAX_DURATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_accepts_exactly_the_schema_pattern() {
        let table =
            [("0s", 0), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250), ("1m1m", 120_000), ("2s5ms", 2005)];
        for (text, milliseconds) in table {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "1d", "1h 30m", "-1s", "1.5h", "99999999999999999999h", "18446744073709551615s"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
