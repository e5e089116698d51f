//! Compares this machine's clock with that of a server. No I/O but the current time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::report::{Advice, Finding};

/// The difference above which clocks are not synchronized.
const MAX_DIFFERENCE: Duration = Duration::from_secs(30);

const ADVICE: Advice = Advice {
    meaning: "tokens count as expired or as not valid yet once the difference exceeds auth.clock_skew",
    remedy: "synchronize the clock of this machine or of the server (NTP)",
    page: "docs/troubleshooting.md#clients",
};

/// Parses the header `Date`, or returns `None` if it is malformed.
pub(super) fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp())
}

/// Returns the finding about the time of a server. A difference above `tolerated` is a failure.
pub(super) fn compare(
    check: &'static str,
    server: &str,
    theirs: Timestamp,
    ours: Timestamp,
    tolerated: Duration,
) -> Finding {
    let difference = ours.duration_since(theirs);
    let seen = describe(server, difference);
    match difference.unsigned_abs() {
        amount if amount > tolerated.max(MAX_DIFFERENCE) => Finding::fail(check, seen, ADVICE),
        amount if amount > MAX_DIFFERENCE => Finding::warn(check, seen, ADVICE),
        _ => Finding::ok(check, seen),
    }
}

fn describe(server: &str, difference: SignedDuration) -> String {
    let seconds = difference.unsigned_abs().as_secs();
    match (seconds, difference.is_negative()) {
        (0..=5, _) => format!("this machine and {server} have the same time"),
        (_, false) => format!("this machine is {seconds} s ahead of {server}"),
        (_, true) => format!("this machine is {seconds} s behind {server}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::report::CheckStatus;

    #[test]
    fn clock_difference_beyond_the_tolerated_one_fails() {
        let theirs = parse_http_date("Tue, 01 Dec 2026 12:00:00 GMT").expect("a date");
        for (difference, status, seen) in [
            (1, CheckStatus::Ok, "this machine and the issuer have the same time"),
            (-20, CheckStatus::Ok, "this machine is 20 s behind the issuer"),
            (31, CheckStatus::Warn, "this machine is 31 s ahead of the issuer"),
            (-301, CheckStatus::Fail, "this machine is 301 s behind the issuer"),
        ] {
            let ours = theirs + SignedDuration::from_secs(difference);
            let finding = compare("clock", "the issuer", theirs, ours, Duration::from_secs(300));
            assert_eq!((finding.status, &*finding.seen), (status, seen));
        }
        assert_eq!(parse_http_date("yesterday"), None);
    }
}
