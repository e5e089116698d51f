//! Durations in the format of the resource, such as `1h30m`. No I/O.

use std::time::Duration;

/// Maximum duration. The CRD's pattern allows less, and sums of a few of these cannot overflow.
const MAX_DURATION: Duration = Duration::from_secs(1 << 40);

/// Parses a duration that matches the CRD's pattern: numbers with a unit each. Returns `None` for any other text.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at(digits);
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let number: u64 = number.parse().ok()?;
        let part = match &behind[..unit] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.checked_mul(60)?),
            "h" => Duration::from_secs(number.checked_mul(3600)?),
            _ => return None,
        };
        total = total.checked_add(part)?;
        rest = &behind[unit..];
    }
    (!text.is_empty() && total <= MAX_DURATION).then_some(total)
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
