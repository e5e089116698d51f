//! Dates as .NET reads and writes them (`signalr.md` 8): with a resolution of 100 ns, and in UTC, local or unspecified. No I/O
//! but [`Date::now`].

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// A date and time, and how its text named the time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// The date and time in UTC. For [`Zone::Unspecified`], as in the text.
    clock: DateTime,
    zone: Zone,
}

/// How a text names the time zone (`DateTimeKind` of .NET).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    /// Read from `Z` and written with `Z`.
    Utc,
    /// Read from an offset, converted to the server's zone, which is UTC, and written with `+00:00`.
    Local,
    /// Read without a zone and written without one. Counts as UTC.
    Unspecified,
}

impl Date {
    /// The default value of .NET, 0001-01-01T00:00:00.
    pub const DOTNET_DEFAULT: Date = Date { clock: DateTime::constant(1, 1, 1, 0, 0, 0, 0), zone: Zone::Unspecified };

    /// Returns the current time in UTC, truncated to 100 ns.
    pub fn now() -> Date {
        let clock = Offset::UTC.to_datetime(Timestamp::now());
        let nanosecond = clock.subsec_nanosecond() / 100 * 100;
        Date { clock: clock.with().subsec_nanosecond(nanosecond).build().unwrap_or(clock), zone: Zone::Utc }
    }

    /// Parses an ISO 8601 date, or date and time, as .NET's JSON reader does. Returns `None` for other texts.
    ///
    /// A fraction has up to 16 digits, of which seven are kept; before a zone it may have none. The zone is `Z`, an offset of
    /// hours, an offset of hours and minutes, or missing.
    pub fn parse(text: &str) -> Option<Date> {
        let (date, rest) = text.as_bytes().split_at_checked(10)?;
        let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else { return None };
        let year = i16::from(two_digits([y1, y2])?) * 100 + i16::from(two_digits([y3, y4])?);
        let (month, day) = (two_digits([m1, m2])?, two_digits([d1, d2])?);
        if year == 0 {
            return None;
        }
        let civil =
            |hour, minute, second, nanosecond| DateTime::new(year, month, day, hour, minute, second, nanosecond).ok();
        let [b'T', h1, h2, b':', m1, m2, rest @ ..] = rest else {
            let clock = rest.is_empty().then(|| civil(0, 0, 0, 0))?;
            return clock.map(|clock| Date { clock, zone: Zone::Unspecified });
        };
        let (hour, minute) = (two_digits([*h1, *h2])?, two_digits([*m1, *m2])?);
        let (second, nanosecond, zone) = seconds(rest)?;
        let clock = civil(hour, minute, second, nanosecond)?;
        match zone {
            [] => Some(Date { clock, zone: Zone::Unspecified }),
            b"Z" => Some(Date { clock, zone: Zone::Utc }),
            [sign, offset @ ..] => {
                let offset = match sign {
                    b'+' => -minutes(offset)?,
                    b'-' => minutes(offset)?,
                    _ => return None,
                };
                let clock =
                    clock.checked_add(SignedDuration::from_mins(offset)).ok().filter(|clock| clock.year() >= 1)?;
                Some(Date { clock, zone: Zone::Local })
            }
        }
    }

    /// Returns the seconds since 1970 in UTC, and the remaining nanoseconds.
    pub fn unix(self) -> (i64, u32) {
        let days = self.clock.date().duration_since(jiff::civil::date(1970, 1, 1)).as_hours() / 24;
        let time = self.clock.time();
        let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        (days * 86_400 + seconds, time.subsec_nanosecond().unsigned_abs())
    }
}

/// Parses `:SS`, which may have a fraction or be missing. Returns the seconds, the nanoseconds, and the rest of the text.
fn seconds(text: &[u8]) -> Option<(i8, i32, &[u8])> {
    let [b':', s1, s2, rest @ ..] = text else { return Some((0, 0, text)) };
    let second = two_digits([*s1, *s2])?;
    let [b'.', rest @ ..] = rest else { return Some((second, 0, rest)) };
    if rest.is_empty() {
        return None;
    }
    let digits = rest.iter().take(16).take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = rest.split_at(digits);
    let kept = fraction.iter().chain(&[b'0'; 7]).take(7);
    let nanosecond = kept.fold(0i32, |sum, digit| sum * 10 + i32::from(digit - b'0')) * 100;
    Some((second, nanosecond, rest))
}

/// Parses an offset without its sign, `HH` or `HH:MM`. Returns it in minutes, or `None` if it is above 14 hours.
fn minutes(offset: &[u8]) -> Option<i64> {
    let (hours, minutes) = match *offset {
        [h1, h2] => (two_digits([h1, h2])?, 0),
        [h1, h2, b':', m1, m2] => (two_digits([h1, h2])?, two_digits([m1, m2])?),
        _ => return None,
    };
    let total = i64::from(hours) * 60 + i64::from(minutes);
    (minutes < 60 && total <= 14 * 60).then_some(total)
}

fn two_digits(digits: [u8; 2]) -> Option<i8> {
    let [tens, ones] = digits.map(|digit| digit.is_ascii_digit().then(|| (digit - b'0') as i8));
    Some(tens? * 10 + ones?)
}

impl fmt::Display for Date {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.clock.date(), self.clock.time());
        write!(formatter, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())?;
        write!(formatter, "T{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())?;
        let fraction = format!("{:07}", time.subsec_nanosecond() / 100);
        match fraction.trim_end_matches('0') {
            "" => {}
            digits => write!(formatter, ".{digits}")?,
        }
        formatter.write_str(match self.zone {
            Zone::Utc => "Z",
            Zone::Local => "+00:00",
            Zone::Unspecified => "",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        Date::parse(text).map(|date| date.to_string())
    }

    #[test]
    fn date_parsed_and_written_keeps_value_and_zone() {
        for text in ["2026-08-20T14:16:19.1234567Z", "0001-01-01T00:00:00", "2024-01-02T03:04:05.12Z"] {
            assert_eq!(written(text).as_deref(), Some(text));
        }
        assert_eq!(written("2024-01-02").as_deref(), Some("2024-01-02T00:00:00"));
        assert_eq!(written("2024-01-02T03:04").as_deref(), Some("2024-01-02T03:04:00"));
        assert_eq!(written("2024-01-02T03:04:05.1200000Z").as_deref(), Some("2024-01-02T03:04:05.12Z"));
        assert_eq!(written("2024-01-02T03:04:05.12345678Z").as_deref(), Some("2024-01-02T03:04:05.1234567Z"));
        assert_eq!(written("2024-01-02T01:04:05+02:00").as_deref(), Some("2024-01-01T23:04:05+00:00"));
    }

    #[test]
    fn date_parse_accepts_hour_offset_and_empty_fraction() {
        assert_eq!(written("2026-01-01T00:00:00+01").as_deref(), Some("2025-12-31T23:00:00+00:00"));
        assert_eq!(written("2026-01-01T00:00-14").as_deref(), Some("2026-01-01T14:00:00+00:00"));
        assert_eq!(written("2026-01-01T00:00:00.Z").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(written("2026-01-01T00:00:00.+01").as_deref(), Some("2025-12-31T23:00:00+00:00"));
        assert_eq!(written("2026-01-01T00:00:00+14:00").as_deref(), Some("2025-12-31T10:00:00+00:00"));
    }

    #[test]
    fn date_parse_rejects_invalid_text() {
        for text in [
            "",
            "2024",
            "2024-13-01",
            "2024-01-02T",
            "2024-01-02T25:00:00",
            "2024-01-02 03:04:05",
            "0000-01-01",
            "2024-01-02T03:04:05.",
            "2024-01-02T24:00:00",
            "2024-01-02T03:04:60",
            "2024-01-02T03:04:05.12345678901234567",
            "2024-01-02T03:04:05+10:60",
            "2024-01-02T03:04:05+14:01",
            "2024-01-02T03:04:05+0100",
            "2024-01-02T03:04:05+1",
            "2024-01-02t03:04:05Z",
            "2024-01-02T03:04:05z",
            "9999-12-31T23:59:59-01:00",
            "2024-01-02T03:04:05+15:00",
            "0001-01-01T00:00:00+01:00",
            "2024-01-02T03:04:05Zx",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn date_unix_returns_seconds_and_nanoseconds_since_1970() {
        let unix = |text| Date::parse(text).expect("a date").unix();
        assert_eq!(unix("1970-01-01T00:00:00Z"), (0, 0));
        assert_eq!(unix("1969-12-31T23:59:59.5Z"), (-1, 500_000_000));
        assert_eq!(unix("2024-01-02T03:04:05.1234567Z"), (1_704_164_645, 123_456_700));
        assert_eq!(unix("0001-01-01T00:00:00"), (-62_135_596_800, 0));
    }
}
