//! Parses the number of clients from a hub's metrics, and decides whether a change is reported. No I/O.

/// Prefix of every metric of a hub.
const METRIC_PREFIX: &str = "notification_hub_";

/// Prefix of the series of open connections.
const CONNECTIONS_SERIES_PREFIX: &str = "notification_hub_connections{";

/// Returns the number of clients in the text of a hub's metrics, or `None` if the text has no metric of a hub.
pub fn parse_client_count(metrics: &str) -> Option<i64> {
    let is_hub = metrics.lines().any(|line| line.starts_with(METRIC_PREFIX));
    let value = |line: &str| line.rsplit_once(' ')?.1.parse::<f64>().ok();
    let series = metrics.lines().filter(|line| line.starts_with(CONNECTIONS_SERIES_PREFIX));
    is_hub.then(|| series.filter_map(value).filter(|count| *count >= 0.0).sum::<f64>() as i64)
}

/// Returns whether a count differs from the reported one by a tenth of it or more. Returns `true` if none was reported.
pub fn has_changed(reported: Option<i64>, now: i64) -> bool {
    reported.is_none_or(|reported| now.abs_diff(reported).saturating_mul(10) >= reported.unsigned_abs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_client_count_sums_only_connections_series() {
        let text = "# HELP notification_hub_connections open connections\n\
            # TYPE notification_hub_connections gauge\n\
            notification_hub_connections{client_type=\"Web\",protocol=\"json\"} 3\n\
            notification_hub_connections{client_type=\"Cli\",protocol=\"messagepack\"} 12\n\
            notification_hub_connection_attempts_total{outcome=\"accepted\"} 99\n";
        assert_eq!(parse_client_count(text), Some(15));
        assert_eq!(
            parse_client_count("notification_hub_drain_phase 0\n"),
            Some(0),
            "a hub without clients has no series"
        );
        assert_eq!(parse_client_count("<html>"), None);
        assert_eq!(parse_client_count(""), None);
    }

    #[test]
    fn has_changed_is_true_from_a_tenth_of_change() {
        let table = [
            (None, 0, true),
            (Some(0), 0, false),
            (Some(0), 1, true),
            (Some(1), 1, false),
            (Some(100), 109, false),
            (Some(100), 110, true),
            (Some(100), 91, false),
            (Some(100), 90, true),
            (Some(5), 0, true),
            (Some(i64::MAX), i64::MAX - 1, false),
        ];
        for (reported, now, expected) in table {
            assert_eq!(has_changed(reported, now), expected, "{reported:?} {now}");
        }
    }
}
